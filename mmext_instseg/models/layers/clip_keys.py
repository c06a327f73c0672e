"""The key layouts in which CLIP's weights are published, brought to open_clip's, which is this package's."""

from open_clip.model import convert_to_custom_text_state_dict
from torch import Tensor

from .weight_keys import join_attention, rename

# Hugging Face's names (transformers' CLIPModel and its towers) -> open_clip's
HUGGING_FACE = (
    (r'^vision_model\.embeddings\.class_embedding$', 'visual.class_embedding'),
    (r'^vision_model\.embeddings\.patch_embedding\.', 'visual.conv1.'),
    (r'^vision_model\.embeddings\.position_embedding\.weight$', 'visual.positional_embedding'),
    (r'^vision_model\.pre_layrnorm\.', 'visual.ln_pre.'),
    (r'^vision_model\.post_layernorm\.', 'visual.ln_post.'),
    (r'^visual_projection\.weight$', 'visual.proj'),
    (r'^text_model\.embeddings\.token_embedding\.', 'text.token_embedding.'),
    (r'^text_model\.embeddings\.position_embedding\.weight$', 'text.positional_embedding'),
    (r'^text_model\.final_layer_norm\.', 'text.ln_final.'),
    (r'^text_projection\.weight$', 'text.text_projection'),
    (r'^vision_model\.encoder\.layers\.', 'visual.transformer.resblocks.'),
    (r'^text_model\.encoder\.layers\.', 'text.transformer.resblocks.'),
    (r'(resblocks\.\d+)\.self_attn\.', r'\1.attn.'),
    (r'(resblocks\.\d+)\.layer_norm(\d)\.', r'\1.ln_\2.'),
    (r'(resblocks\.\d+)\.mlp\.fc1\.', r'\1.mlp.c_fc.'),
    (r'(resblocks\.\d+)\.mlp\.fc2\.', r'\1.mlp.c_proj.'),
)
TRANSPOSED = ('visual.proj', 'text.text_projection')  # linear layers there, matrices here


def to_open_clip(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Renames, joins and transposes a CLIP state dict's tensors; the layout is recognised by its keys.

    Args:
        state: tensors by name, in OpenAI's, open_clip's (of a model or a training) or Hugging Face's layout; transformers' CLIPSeg holds a
            CLIP in that one.

    Returns:
        the tensors, the image tower's as `visual.*` and the text tower's as `text.*`, and the name of the layout.
    """
    state = rename(state, ((r'^(module|clip)\.', ''),))
    if any(key.startswith(('vision_model.', 'text_model.')) for key in state):
        state = join_attention(rename(state, HUGGING_FACE))
        return {key: value.T if key in TRANSPOSED else value for key, value in state.items()}, 'Hugging Face'
    layout = 'OpenAI' if 'input_resolution' in state else 'open_clip'
    return convert_to_custom_text_state_dict(state), layout
