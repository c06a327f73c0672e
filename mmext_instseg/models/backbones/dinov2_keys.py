"""The key layouts in which DINOv2's weights are published, brought to timm's, which is this package's."""

import re
from math import isqrt

import torch
from torch import Tensor

# Hugging Face's names (transformers' Dinov2Model and Dinov2WithRegistersModel) -> Meta's
HUGGING_FACE = (
    (r'^embeddings\.patch_embeddings\.projection\.', 'patch_embed.proj.'),
    (r'^embeddings\.position_embeddings$', 'pos_embed'),
    (r'^embeddings\.(cls_token|mask_token|register_tokens)$', r'\1'),
    (r'^encoder\.layer\.(\d+)\.attention\.output\.dense\.', r'blocks.\1.attn.proj.'),
    (r'^encoder\.layer\.(\d+)\.attention\.attention\.', r'blocks.\1.attn.'),
    (r'^encoder\.layer\.(\d+)\.layer_scale(\d)\.lambda1$', r'blocks.\1.ls\2.gamma'),
    (r'^encoder\.layer\.(\d+)\.mlp\.weights_in\.', r'blocks.\1.mlp.w12.'),
    (r'^encoder\.layer\.(\d+)\.mlp\.weights_out\.', r'blocks.\1.mlp.w3.'),
    (r'^encoder\.layer\.(\d+)\.', r'blocks.\1.'),
    (r'^layernorm\.', 'norm.'),
)
# Meta's names -> timm's
META = ((r'^(blocks\.\d+\.mlp)\.w12\.', r'\1.fc1.'), (r'^(blocks\.\d+\.mlp)\.w3\.', r'\1.fc2.'), (r'^register_tokens$', 'reg_token'))


def to_timm(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Renames, joins and splits a DINOv2 state dict's tensors; the layout is recognised by its keys.

    In Hugging Face's, query, key and value are apart. With registers, timm adds the class token's position to the token itself and keeps
    positions of patches alone. Meta's `mask_token`, for pretraining alone, and whatever isn't DINOv2's keeps its name.

    Args:
        state: tensors by name, in Meta's, timm's or Hugging Face's layout; a prefix `backbone.`, `dinov2.` or `dinov2_with_registers.`
            (transformers' models with a head) may stand before the names.

    Returns:
        the tensors under timm's names, and the name of the layout.
    """
    state = {re.sub(r'^(backbone|dinov2|dinov2_with_registers)\.', '', key): value for key, value in state.items()}
    layout = 'timm'
    if any(key.startswith('embeddings.') for key in state):
        layout = 'Hugging Face'
        state = _join_qkv(_rename(state, HUGGING_FACE))
    elif 'mask_token' in state or 'register_tokens' in state:
        layout = 'Meta'
    with_registers = 'register_tokens' in state
    state = _rename(state, META)
    if with_registers and {'cls_token', 'pos_embed'} <= state.keys():
        state['cls_token'] = state['cls_token'] + state['pos_embed'][:, :1]
        state['pos_embed'] = state['pos_embed'][:, 1:]
    return state, layout


def sizes(state: dict[str, Tensor]) -> dict:
    """What `DINOv2ViT` needs to hold a state dict in timm's layout: its arguments `arch`, `num_registers`, `patch_size`, `img_size`.

    The number of heads isn't to be seen in weights; it is 64 channels a head, as in every DINOv2, or one head where that doesn't go.

    Raises:
        KeyError: a tensor that says a size is missing; names it.
    """
    width, patch_size = state['patch_embed.proj.weight'].shape[0], state['patch_embed.proj.weight'].shape[-1]
    registers = state['reg_token'].shape[1] if 'reg_token' in state else 0
    blocks = {int(match[1]) for key in state if (match := re.match(r'blocks\.(\d+)\.', key))}
    grid = isqrt(state['pos_embed'].shape[1] - (not registers))
    arch = dict(
        embed_dim=width,
        depth=max(blocks, default=-1) + 1,
        num_heads=width // 64 if width % 64 == 0 else 1,
        swiglu=state['blocks.0.mlp.fc1.weight'].shape[0] != state['blocks.0.mlp.fc2.weight'].shape[1],
    )
    return dict(arch=arch, num_registers=registers, patch_size=patch_size, img_size=grid * patch_size)


def _rename(state: dict[str, Tensor], names: tuple[tuple[str, str], ...]) -> dict[str, Tensor]:
    """Applies the first rule that fits each name."""
    renamed = {}
    for key, value in state.items():
        for theirs, ours in names:
            new, found = re.subn(theirs, ours, key)
            if found:
                key = new
                break
        renamed[key] = value
    return renamed


def _join_qkv(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """attn.query, attn.key and attn.value -> attn.qkv, rows in this order; where one is missing, the others stay apart."""
    joined = dict(state)
    for key in state:
        parts = [re.sub(r'\.attn\.query\.', f'.attn.{name}.', key) for name in ('query', 'key', 'value')]
        if '.attn.query.' in key and all(part in state for part in parts):
            joined[key.replace('.query.', '.qkv.')] = torch.cat([joined.pop(part) for part in parts])
    return joined
