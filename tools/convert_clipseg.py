"""Writes the decoder of a published CLIPSeg (rd64) as weights that a config of InstanceCLIPSeg can start from, and says what matched.

SOURCE is rd64-uni.pth of github.com/timojl/clipseg, or model.safetensors or pytorch_model.bin of CIDAS/clipseg-rd64-refined or its kin at
huggingface.co, as a local file. Reduces, film and blocks must fit the decoder of the config; its fusion and stages have no counterpart
there and stay at their initial values, as do the heads. Nothing in the source is executed.
"""

import sys
from pathlib import Path

from _convert import command_line, run, write
from mmengine.config import Config
from torch import Tensor

import mmext_instseg  # noqa: F401
from mmext_instseg.models.layers.local_weights import read_state
from mmext_instseg.models.necks import DistanceMapDecoder
from mmext_instseg.models.necks.clipseg_keys import to_decoder
from mmext_instseg.registry import MODELS

CONFIG = Path(__file__).parents[1] / 'configs' / 'instance_clipseg' / 'instance_clipseg_c5_3e_lvis-352.py'
EXAMPLE = """python tools/convert_clipseg.py rd64-uni.pth checkpoints/clipseg_decoder.pth

Then train with `--cfg-options load_from=checkpoints/clipseg_decoder.pth`. CLIP's own weights stay where the config says."""


def convert(source: Path, target: Path, config: Path) -> list[str]:
    """Writes the new file `target`; returns the lines of a report.

    Raises:
        ValueError: the source isn't CLIPSeg's, or has a decoder of other widths than the config; the config has no such decoder.
    """
    neck = Config.fromfile(config).get('model', {}).get('neck') or {}
    if neck.get('type') != DistanceMapDecoder.__name__:
        raise ValueError(f'{config} has no model.neck of type DistanceMapDecoder; give a config of InstanceCLIPSeg')
    decoder = MODELS.build(neck)
    read = read_state(str(source), 'cpu')
    found, layout = to_decoder(read)
    matched = [key for key in decoder.state_dict() if key in found]
    if not matched:
        raise ValueError(
            f"none of its {len(read)} tensors is of CLIPSeg's decoder; the first is {next(iter(read), None)!r}. Give rd64-uni.pth of "
            'github.com/timojl/clipseg or model.safetensors of CIDAS/clipseg-rd64-refined at huggingface.co'
        )
    decoder.load_weights(str(source))
    own = decoder.state_dict()
    write({'state_dict': {f'{decoder.default_prefix}{key}': own[key].contiguous() for key in matched}}, target)
    unmatched = [key for key in own if key not in found]
    left_out = [key for key in found if key not in own]
    return [
        *lines('left out', left_out, found),
        *lines('unmatched', unmatched, own),
        *lines('matched', matched, own),
        f"layout    {layout}'s, {len(read)} tensors",
        f'decoder   {len(matched)} of {len(own)} tensors matched, {sum(own[key].numel() for key in matched):,} values; '
        f"{len(unmatched)} stay initial; {len(left_out)} of the file's are left out",
    ]


def lines(title: str, keys: list[str], tensors: dict[str, Tensor]) -> list[str]:
    return [f'{title:9} {key} {tuple(tensors[key].shape)}' for key in keys]


def main(arguments: list[str] | None = None) -> int:
    parser = command_line(__doc__, EXAMPLE, 'weights to read, .pth, .bin or .safetensors', '.pth file to write, for `load_from`')
    parser.add_argument('--config', type=Path, default=CONFIG, metavar='FILE', help=f'whose decoder (default: {CONFIG.name})')
    if (target := parser.parse_args(arguments).target).suffix != '.pth':
        parser.error(f'{target}: name a .pth file, which `load_from` reads')
    return run(parser, convert, arguments)


if __name__ == '__main__':
    sys.exit(main())
