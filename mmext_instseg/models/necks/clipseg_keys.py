"""The key layouts in which CLIPSeg's decoder is published, brought to `DistanceMapDecoder`'s."""

from torch import Tensor

from ..layers.weight_keys import join_attention, rename

# Hugging Face's names (transformers' CLIPSegForImageSegmentation) -> CLIPSeg's
HUGGING_FACE = (
    (r'^decoder\.(film_mul|film_add|reduce|reduces)\.', r'\1.'),
    (r'^decoder\.layers\.', 'blocks.'),
    (r'^(blocks\.\d+)\.layer_norm(\d)\.', r'\1.norm\2.'),
    (r'^(blocks\.\d+)\.mlp\.fc(\d)\.', r'\1.linear\2.'),
    (r'^decoder\.transposed_convolution\.', 'trans_conv.'),
)


def to_decoder(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Renames a CLIPSeg state dict's tensors; the layout is recognised by its keys.

    CLIPSeg's `trans_conv` (to the mask) and `reduce` (unused there) have no counterpart and keep their names, as CLIP does.

    Args:
        state: tensors by name, in the layout of CLIPSeg's own files (rd64-uni.pth and its kin) or of Hugging Face's.

    Returns:
        the tensors under this package's names, and the name of the layout.
    """
    layout = 'CLIPSeg'
    if any(key.startswith('decoder.layers.') for key in state):
        layout = 'Hugging Face'
        decoder = {key: value for key, value in state.items() if key.startswith('decoder.')}
        others = {key: value for key, value in state.items() if key not in decoder}
        state = {**join_attention(rename(decoder, HUGGING_FACE)), **others}
    elif any(key.startswith('film.') for key in state):
        layout = 'mmext_instseg'
    return rename(state, ((r'^film_(mul|add)\.', r'film.\1.'),)), layout
