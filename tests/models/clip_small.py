"""A small CLIP of open_clip's, random weights of it in the layouts in which CLIP is published, and our towers of the same size."""

import re
from collections.abc import Callable
from pathlib import Path

import open_clip
import torch
from safetensors.torch import save_file
from torch import Tensor

from mmext_instseg.registry import MODELS

VISION = dict(width=32, layers=4, patch_size=16, image_size=64, head_width=16)
TEXT = dict(width=48, heads=3, layers=2)
TOWERS = {
    'visual': dict(type='CLIPViT', arch=VISION, taps=(0, 2), frozen=False),
    'text': dict(type='OpenCLIPTextEncoder', arch=dict(TEXT, embed_dim=24), frozen=False),
}


def make(tower: str, seed: int = 1, **changes):
    torch.manual_seed(seed)
    return MODELS.build({**TOWERS[tower], **changes})


def clip_model(seed: int = 0, quick_gelu: bool = True, **vision) -> open_clip.CLIP:
    """Every parameter random, as a norm's would be 1 and 0."""
    torch.manual_seed(seed)
    model = open_clip.CLIP(24, {**VISION, **vision}, dict(TEXT), quick_gelu=quick_gelu).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    return model


def hugging_face(model: open_clip.CLIP) -> dict[str, Tensor]:
    """transformers' CLIPModel."""
    rules = (
        (r'^transformer\.resblocks', 'text_model.encoder.layers'),
        (r'^visual\.transformer\.resblocks', 'vision_model.encoder.layers'),
        (r'^token_embedding', 'text_model.embeddings.token_embedding'),
        (r'^positional_embedding', 'text_model.embeddings.position_embedding.weight'),
        (r'^ln_final', 'text_model.final_layer_norm'),
        (r'^text_projection', 'text_projection.weight'),
        (r'^visual\.class_embedding', 'vision_model.embeddings.class_embedding'),
        (r'^visual\.positional_embedding', 'vision_model.embeddings.position_embedding.weight'),
        (r'^visual\.conv1', 'vision_model.embeddings.patch_embedding'),
        (r'^visual\.ln_pre', 'vision_model.pre_layrnorm'),
        (r'^visual\.ln_post', 'vision_model.post_layernorm'),
        (r'^visual\.proj', 'visual_projection.weight'),
        (r'\.attn\.out_proj', '.self_attn.out_proj'),
        (r'\.ln_(\d)', r'.layer_norm\1'),
        (r'\.mlp\.c_fc', '.mlp.fc1'),
        (r'\.mlp\.c_proj', '.mlp.fc2'),
    )
    state = {}
    for key, value in model.state_dict().items():
        for theirs, ours in rules:
            key = re.sub(theirs, ours, key)
        if '.attn.in_proj_' in key:
            for name, part in zip('qkv', value.chunk(3), strict=True):
                state[key.replace('.attn.in_proj_', f'.self_attn.{name}_proj.')] = part.clone()
        else:
            state[key] = value.T.contiguous() if key.endswith('projection.weight') else value
    return state


def save_archive(model: open_clip.CLIP, path: Path) -> None:
    """As OpenAI publishes it: traced, in half precision, with three numbers beside."""
    for name, value in dict(input_resolution=64, context_length=77, vocab_size=49408).items():
        vars(model).pop(name, None)
        model.register_buffer(name, torch.tensor(value))
    traced = torch.jit.trace_module(model, dict(encode_image=(torch.zeros(1, 3, 64, 64),)), check_trace=False)
    traced.half().save(str(path))
    model.float()  # they share parameters


def saved(change: Callable[[open_clip.CLIP], dict] = lambda model: dict(model.state_dict())) -> Callable:
    return lambda model, path: torch.save(change(model), path)


# name -> (the layout's name in the report, writer of a file)
LAYOUTS: dict[str, tuple[str, Callable[[open_clip.CLIP, Path], None]]] = {
    'OpenAI archive': ('OpenAI', save_archive),
    'open_clip': ('open_clip', saved()),
    'open_clip training': (
        'open_clip',
        saved(lambda model: dict(epoch=3, state_dict={f'module.{key}': value for key, value in model.state_dict().items()})),
    ),
    'open_clip with text apart': (
        'open_clip',
        saved(lambda model: open_clip.model.convert_to_custom_text_state_dict(model.state_dict())),
    ),
    'Hugging Face': ('Hugging Face', saved(hugging_face)),
    'Hugging Face safetensors': ('Hugging Face', lambda model, path: save_file(hugging_face(model), path)),
    "Hugging Face's CLIPSeg": ('Hugging Face', saved(lambda model: {f'clip.{key}': value for key, value in hugging_face(model).items()})),
}
