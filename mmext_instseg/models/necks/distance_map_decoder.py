"""The decoder of InstanceCLIPSeg: tokens of CLIP and a phrase to a map of the image's size."""

from collections.abc import Sequence
from itertools import pairwise
from math import isqrt

import torch
import torch.nn.functional as F
from mmcv.cnn import ConvModule, build_upsample_layer
from mmengine.logging import print_log
from mmengine.model import BaseModule
from torch import Tensor, nn

from ...registry import MODELS
from ..layers.coord_conv import CoordConv2d
from ..layers.film import FiLM
from ..layers.local_weights import LocalWeights
from ..layers.pixel_shuffle import ICNRPixelShuffle
from .clipseg_keys import to_decoder

FUSIONS = ('none', 'hybrid', 'hierarchical')
UPSAMPLERS: dict[str, dict] = {
    'bilinear': dict(type='bilinear', scale_factor=2, align_corners=False),
    'pixel_shuffle': dict(type='pixel_shuffle', scale_factor=2, upsample_kernel=3),
    'pixel_shuffle_icnr': dict(type=ICNRPixelShuffle, scale_factor=2, upsample_kernel=3),
}


class UpsamplingStage(BaseModule):
    """x2: an upsampling block, a skip beside its output if there is one, and a refinement block (3x3 convolution, batch norm, ReLU).

    Args:
        in_channels, out_channels: of the map before and after.
        skip_channels: of the skip, 0 for none.
        upsample: a name of `UPSAMPLERS`.
        coord: the refinement's convolution is a CoordConv.
        layers: `norm_cfg` and `act_cfg` of the refinement.
    """

    def __init__(self, in_channels: int, out_channels: int, skip_channels: int, upsample: str, coord: bool, layers: dict) -> None:
        super().__init__()
        channels = {} if upsample == 'bilinear' else dict(in_channels=in_channels, out_channels=in_channels)
        self.upsample = build_upsample_layer({**UPSAMPLERS[upsample], **channels})
        self.refine = ConvModule(in_channels + skip_channels, out_channels, 3, padding=1, conv_cfg=_conv(coord), **layers)

    def forward(self, x: Tensor, skip: Tensor | None = None) -> Tensor:
        """(N, in_channels, h, w) and a skip (N, skip_channels, any size) -> (N, out_channels, 2h, 2w)."""
        x = self.upsample(x)
        if skip is not None:
            x = torch.cat([x, F.interpolate(skip, size=x.shape[-2:], mode='bilinear', align_corners=False)], dim=1)
        return self.refine(x)


@MODELS.register_module()
class DistanceMapDecoder(LocalWeights):
    """CLIPSeg's conditioned transformer (Lueddecke and Ecker, 2022), a fusion of its states, and four stages x2 ("Decoder architectural
    configurations").

        L9 - reduce - FiLM(phrase) - block - s9        none:          s3 --------------------- stages 1, 2, 3, 4
        L7 - reduce ------------ + - block - s7        hybrid:        [s9, s7, s3] - merge --- stages 1, 2, 3, 4
        L3 - reduce ------------ + - block - s3        hierarchical:  s9 - stage 1 with s7 - stage 2 with s3 - 3 - 4

    Each block starts from the sum of the state above it and its own tap, so s3 has seen all: it is what CLIPSeg decodes, and what a
    decoder without fusion reads (ours, the paper names no source). Hybrid: every state projected to one width, concatenated, one 1x1
    convolution with batch norm and ReLU, as SegFormer fuses (its 1x1 is ours, the paper says "fusion block"). Hierarchical: skips are
    resized bilinearly and concatenated (ours; "added in the first stage").

    Ours as well, where the paper is silent: the widths of the stages; PixelShuffle's convolution is 3x3, as in its authors' network, and
    keeps the width; CoordConv stands in the refinement's convolution, in the merge block's where `coord_merge`.

    The nine configurations of Table 1, and one that separates ICNR from CoordConv:

    | | `fusion` | `upsample` | `coord_stages` | `coord_merge` |
    |---|---|---|---|---|
    | C1 | none | bilinear | 1, 2, 3, 4 | |
    | C2 | none | pixel_shuffle | | |
    | C3 | none | pixel_shuffle_icnr | 1, 2 | |
    | C4 | hybrid | bilinear | 1, 2 | yes |
    | C5 | hybrid | pixel_shuffle_icnr | | yes |
    | C6 | hybrid | pixel_shuffle_icnr | 1, 2, 3, 4 | (yes, as C5's counterpart) |
    | C7 | hierarchical | bilinear | 1, 2 | |
    | C8 | hierarchical | pixel_shuffle_icnr | (1, 2, 3, 4 by the letter of Table 1, which is C9) | |
    | C9 | hierarchical | pixel_shuffle_icnr | 1, 2, 3, 4 | |
    | extra | none | pixel_shuffle_icnr | | |

    `init_cfg=dict(type='Pretrained', checkpoint=PATH)` reads the decoder of CLIPSeg (rd64) from a local file in its own or Hugging Face's
    layout: reduces, film and blocks must match; fusion and stages stay at their initial values, and a report says so. CLIPSeg's dropout
    and width of the blocks are the defaults here.

    Taps are reduced once an image, and gathered for its phrases. Training keeps, in float32, 4 * N * sum over stages of
    H_k * W_k * (in_k + 2 out_k) bytes, and for each block about 4 * N * L * (40 * channels + 3 * feedforward_channels) bytes, L tokens (on
    a CPU 2.25 * num_heads * L more in these brackets, for the attention's dropout): at 352x352 0.07 and 3 * 0.025 GB a pair.

    Args:
        in_channels: channels of each tap, from the first block's to the last's.
        condition_channels: D of the phrase embeddings; None: an ordinary neck, without FiLM.
        channels: width of states and fusion.
        num_heads, feedforward_channels: of the transformer blocks.
        fusion: 'none', 'hybrid' or 'hierarchical'.
        upsample: 'bilinear', 'pixel_shuffle' or 'pixel_shuffle_icnr'.
        coord_stages: stages, counted from 1, with CoordConv.
        coord_merge: CoordConv in the merge block of 'hybrid'.
        stage_channels: width of each stage; their number says how often the size doubles.
        norm_cfg, act_cfg: of merge and refinement blocks.

    Attributes:
        out_channels: of the map, for the heads' `in_channels`.

    Raises:
        ValueError: an argument is none of the values above.
    """

    default_prefix = 'neck.'

    def __init__(
        self,
        in_channels: Sequence[int] = (768, 768, 768),
        condition_channels: int | None = 512,
        channels: int = 64,
        num_heads: int = 4,
        feedforward_channels: int = 2048,
        fusion: str = 'none',
        upsample: str = 'bilinear',
        coord_stages: Sequence[int] = (),
        coord_merge: bool = False,
        stage_channels: Sequence[int] = (64, 64, 32, 32),
        norm_cfg: dict | None = dict(type='BN'),
        act_cfg: dict | None = dict(type='ReLU'),
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        self.in_channels = tuple(in_channels)
        self.fusion = fusion
        skips = len(self.in_channels) - 1 if fusion == 'hierarchical' else 0
        _check(fusion, upsample, coord_stages, coord_merge, len(stage_channels), skips)
        layers: dict = dict(norm_cfg=norm_cfg, act_cfg=act_cfg)
        self.reduces = nn.ModuleList(nn.Linear(width, channels) for width in reversed(self.in_channels))
        self.film = None if condition_channels is None else FiLM(condition_channels, channels)
        self.blocks = nn.ModuleList(
            nn.TransformerEncoderLayer(channels, num_heads, feedforward_channels, batch_first=True) for _ in self.in_channels
        )
        if fusion == 'hybrid':
            self.projects = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in self.in_channels)
            self.merge = ConvModule(len(self.in_channels) * channels, channels, 1, conv_cfg=_conv(coord_merge), **layers)
        self.stages = nn.ModuleList(
            UpsamplingStage(before, after, channels if number <= skips else 0, upsample, number in coord_stages, layers)
            for number, (before, after) in enumerate(pairwise([channels, *stage_channels]), 1)
        )
        self.out_channels = stage_channels[-1]

    def forward(
        self,
        feats: Sequence[Tensor],
        condition: Tensor | None = None,
        image: Tensor | None = None,
        grid: tuple[int, int] | None = None,
    ) -> tuple[Tensor]:
        """Tokens of B images and N (image, phrase) pairs -> one map for each pair.

        Args:
            feats: the taps, from the first block's to the last's, (B, 1 + h * w, C) each, class token first.
            condition: (N, D) phrase embeddings; None: no FiLM.
            image: (N,) int64, the image of each pair; None: each image once, in order, so N = B.
            grid: (h, w); None: as many rows as columns.

        Returns:
            (N, stage_channels[-1], 16 h, 16 w): with patches of 16 pixels the image's size.

        Raises:
            ValueError: the taps aren't those of `in_channels`, or not of this grid; there is no FiLM for the condition, or their numbers
                of pairs differ.
        """
        grid = self._check_inputs(feats, condition, image, grid)
        states = [state[:, 1:].transpose(1, 2).unflatten(2, grid) for state in self.states(feats, condition, image)]
        x, skips = states[-1], []
        if self.fusion == 'hybrid':
            x = self.merge(torch.cat([project(state) for project, state in zip(self.projects, states, strict=True)], dim=1))
        elif self.fusion == 'hierarchical':
            x, *skips = states
        for number, stage in enumerate(self.stages):
            x = stage(x, skips[number] if number < len(skips) else None)
        return (x,)

    def states(self, feats: Sequence[Tensor], condition: Tensor | None, image: Tensor | None) -> list[Tensor]:
        """What each transformer block gives, (N, 1 + h * w, channels), from the last tap's to the first's; arguments as `forward`."""
        states: list[Tensor] = []
        dtype = next(self.reduces.parameters()).dtype  # a frozen backbone may be in half precision
        for tap, reduce, block in zip(reversed(feats), self.reduces, self.blocks, strict=True):
            x = reduce(tap.to(dtype))
            x = x if image is None else x[image]
            if states:
                x = x + states[-1]
            elif condition is not None and self.film is not None:
                x = self.film(x, condition.to(dtype))
            states.append(block(x))
        return states

    def _check_inputs(
        self, feats: Sequence[Tensor], condition: Tensor | None, image: Tensor | None, grid: tuple[int, int] | None
    ) -> tuple[int, int]:
        if tuple(tap.shape[-1] for tap in feats) != self.in_channels or any(tap.ndim != 3 for tap in feats):
            raise ValueError(
                f'DistanceMapDecoder reads tokens (B, 1 + h * w, C), C = {list(self.in_channels)}; the inputs are '
                f"{[tuple(tap.shape) for tap in feats]}. Let the backbone have out_type='raw'"
            )
        tokens = feats[0].shape[1] - 1
        rows, cols = (isqrt(tokens),) * 2 if grid is None else grid
        if rows * cols != tokens:
            raise ValueError(
                f'DistanceMapDecoder: {tokens} tokens are no {rows}x{cols}: name the grid=(h, w) of an image that is no square'
            )
        if condition is not None:
            if self.film is None:
                raise ValueError('DistanceMapDecoder was built with condition_channels=None, without FiLM for the condition')
            pairs = len(feats[0]) if image is None else len(image)
            if len(condition) != pairs:
                raise ValueError(f'DistanceMapDecoder: {len(condition)} conditions for {pairs} pairs')
        return rows, cols

    def _own_keys(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        found, layout = to_decoder(found)
        print_log(f"DistanceMapDecoder: the keys are {layout}'s.", logger='current')
        return found

    def _in_trunk(self, key: str) -> bool:
        return key.startswith(('reduces.', 'blocks.')) or (self.film is not None and key.startswith('film.'))

    def _described(self) -> str:
        return f'in_channels={list(self.in_channels)}, channels={self.reduces[0].out_features}'

    def _expected_file(self) -> str:
        return (
            f"Expected is a local file of CLIPSeg's decoder ({self._described()}), such as rd64-uni.pth of github.com/timojl/clipseg or "
            'model.safetensors of CIDAS/clipseg-rd64 at huggingface.co, both for ViT-B/16'
        )


def _conv(coord: bool) -> dict | None:
    return dict(type=CoordConv2d) if coord else None


def _check(fusion: str, upsample: str, coord_stages: Sequence[int], coord_merge: bool, stages: int, skips: int) -> None:
    if fusion not in FUSIONS:
        raise ValueError(f'DistanceMapDecoder.fusion must be one of {", ".join(FUSIONS)}, not {fusion!r}')
    if upsample not in UPSAMPLERS:
        raise ValueError(f'DistanceMapDecoder.upsample must be one of {", ".join(UPSAMPLERS)}, not {upsample!r}')
    if not set(coord_stages) <= set(range(1, stages + 1)):
        raise ValueError(f'DistanceMapDecoder.coord_stages must be numbers of stages from 1 to {stages}, not {tuple(coord_stages)}')
    if coord_merge and fusion != 'hybrid':
        raise ValueError(f"DistanceMapDecoder.coord_merge needs fusion='hybrid', the one with a merge block, not {fusion!r}")
    if stages < max(1, skips):
        raise ValueError(f'DistanceMapDecoder.stage_channels: {skips} skips need as many stages, there are {stages}')
