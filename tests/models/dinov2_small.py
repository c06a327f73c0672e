"""A small DINOv2, ours and timm's, and its weights in the three layouts in which DINOv2 is published."""

import re

import torch
from timm.layers import SwiGLUPacked
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from mmext_instseg.models.backbones import DINOv2ViT
from mmext_instseg.registry import MODELS

ARCH = dict(embed_dim=48, depth=4, num_heads=2)
TINY = dict(type='DINOv2ViT', arch=ARCH, img_size=70)


def make(seed: int = 0, **changes) -> DINOv2ViT:
    torch.manual_seed(seed)
    return MODELS.build({**TINY, **changes})


def timm_model(registers: int = 0, swiglu: bool = False, img_size: int = 70) -> VisionTransformer:
    """As timm builds `vit_*_patch14_dinov2` and, with registers, `vit_*_patch14_reg4_dinov2`; every parameter is random."""
    torch.manual_seed(0)
    kind = dict(mlp_layer=SwiGLUPacked, act_layer=nn.SiLU, mlp_ratio=2.66667 * 2) if swiglu else {}
    kind.update(dict(reg_tokens=registers, no_embed_class=True) if registers else {})
    model = VisionTransformer(img_size, 14, num_classes=0, init_values=1e-5, dynamic_img_size=True, **ARCH, **kind).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, 0.1, 0.2)
    return model


def meta_layout(model: VisionTransformer) -> dict[str, Tensor]:
    """facebookresearch/dinov2: class token and patches have positions, registers haven't."""
    state = dict(model.state_dict())
    if 'reg_token' in state:
        state['register_tokens'] = state.pop('reg_token')
        place = torch.randn_like(state['cls_token'])
        state['cls_token'] = state['cls_token'] - place
        state['pos_embed'] = torch.cat([place, state['pos_embed']], dim=1)
    if isinstance(model.blocks[0].mlp.act, nn.SiLU):
        state = {key.replace('mlp.fc1', 'mlp.w12').replace('mlp.fc2', 'mlp.w3'): value for key, value in state.items()}
    return {**state, 'mask_token': torch.zeros(1, 48)}


def hugging_face_layout(model: VisionTransformer) -> dict[str, Tensor]:
    """transformers: Dinov2Model, Dinov2WithRegistersModel."""
    state = {}
    for key, value in meta_layout(model).items():
        if key in ('cls_token', 'mask_token', 'register_tokens'):
            state[f'embeddings.{key}'] = value
        elif key == 'pos_embed':
            state['embeddings.position_embeddings'] = value
        elif key.startswith('patch_embed.proj'):
            state[key.replace('patch_embed.proj', 'embeddings.patch_embeddings.projection')] = value
        elif key.startswith('norm.'):
            state[f'layer{key}'] = value
        else:
            number, part, kind = re.fullmatch(r'blocks\.(\d+)\.(.+)\.(\w+)', key).groups()
            layer = f'encoder.layer.{number}'
            if part == 'attn.qkv':
                for name, rows in zip(('query', 'key', 'value'), value.chunk(3), strict=True):
                    state[f'{layer}.attention.attention.{name}.{kind}'] = rows.clone()
            elif part in ('ls1', 'ls2'):
                state[f'{layer}.layer_scale{part[-1]}.lambda1'] = value
            else:
                names = {'attn.proj': 'attention.output.dense', 'mlp.w12': 'mlp.weights_in', 'mlp.w3': 'mlp.weights_out'}
                state[f'{layer}.{names.get(part, part)}.{kind}'] = value
    return state


LAYOUTS = {'timm': lambda model: dict(model.state_dict()), 'Meta': meta_layout, 'Hugging Face': hugging_face_layout}
