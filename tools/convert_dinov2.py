"""Writes DINOv2's weights in this package's layout (timm's) from a file in Meta's, timm's or Hugging Face's, and says what matched.

`DINOv2ViT` reads all of these by itself; a converted file is for other programs, or to see whether a file is what it should be. Nothing
in the source is executed: it is read as weights only, or as safetensors.
"""

import sys
from pathlib import Path

from _convert import command_line, run, write

import mmext_instseg  # noqa: F401
from mmext_instseg.models.backbones import DINOv2ViT
from mmext_instseg.models.backbones.dinov2_keys import sizes, to_timm
from mmext_instseg.models.backbones.dinov2_vit import ARCHS
from mmext_instseg.models.layers.local_weights import read_state


def convert(source: Path, target: Path) -> list[str]:
    """Writes the new file `target`; returns the lines of a report.

    Raises:
        ValueError: the source isn't DINOv2, not complete or has tensors of other shapes.
    """
    read = read_state(str(source), 'cpu')
    try:
        found, layout = to_timm(read)
        settings = sizes(found)
    except KeyError as error:
        raise ValueError(f'{source} holds no DINOv2: {error} is missing') from None
    model = DINOv2ViT(**settings)
    model.load_weights(str(source))
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    write(state, target)
    names = [name for name, arch in ARCHS.items() if {'swiglu': False, **arch} == settings['arch']]
    unused = [key for key in found if key not in state]
    return [
        f"layout    {layout}'s, {len(read)} tensors",
        f'network   DINOv2ViT(arch={names[0] if names else settings["arch"]!r}, num_registers={settings["num_registers"]}, '
        f'patch_size={settings["patch_size"]}, img_size={settings["img_size"]})',
        f'matched   {len(state)} of {len(state)} tensors, {sum(value.numel() for value in state.values()):,} values',
        f'not used  {", ".join(unused) or "nothing"}',
    ]


def main(arguments: list[str] | None = None) -> int:
    parser = command_line(
        __doc__,
        'python tools/convert_dinov2.py dinov2_vitb14_pretrain.pth dinov2_base.safetensors',
        'weights to read, .pth or .safetensors',
        'file to write: safetensors where it ends so, else a state dict',
    )
    return run(parser, convert, arguments)


if __name__ == '__main__':
    sys.exit(main())
