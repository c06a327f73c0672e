"""CLIP's image tower as a backbone."""

import re
from collections.abc import Sequence

import torch
from open_clip.transformer import VisionTransformer
from timm.layers import resample_abs_pos_embed
from torch import Tensor

from ...registry import MODELS
from ..layers.clip_tower import CLIPTower, tower_settings
from ..layers.patch_grid import patch_grid


@MODELS.register_module()
class CLIPViT(CLIPTower):
    """CLIP's ViT, of open_clip's parts, tapped after several blocks; frozen in the paper ("with a frozen CLIP encoder").

    Position embeddings are resized bicubically to the image's grid, as open_clip does it (with antialiasing; CLIPSeg has none, and so
    another cubic kernel). Taps are the blocks' plain outputs, as in CLIPSeg. Blocks after the last tap, the last norm and the projection
    aren't built.

    | `arch` | blocks | channels | patch | parameters up to block 9 |
    |---|---|---|---|---|
    | ViT-B-16 (paper) | 12 | 768 | 16 | 71.6 M |
    | ViT-B-32 | 12 | 768 | 32 | 73.3 M |
    | ViT-L-14 | 24 | 1024 | 14 | 126.8 M |

    Attention is `scaled_dot_product_attention`, so memory is linear in the tokens N = H * W / patch^2: frozen, a pass peaks at about
    4 * B * N * C * (14 + number of taps) bytes (float32).

    Args:
        arch: a name of open_clip's, or a dict of width, layers and patch_size and, if other than the defaults, image_size=224 (side of the
            images that the stored positions are for), head_width=64, mlp_ratio=4.
        taps: numbers of the blocks, counted from 0 as in the paper, after which features are taken.
        out_type: 'featmap': maps, without the class token; 'raw': tokens, the class token first (mmpretrain's names).
        quick_gelu: as OpenAI's networks have it; see `CLIPTower`.
        frozen: no gradients, and checkpoints name the weights' file instead of holding it; see `FrozenWeights`. Needs `weights`.
        weights: a local file; see `CLIPTower`.

    Attributes:
        out_channels: channels of the outputs, for the neck's `in_channels`.

    Raises:
        ValueError: an argument is none of the values above.
    """

    tower = 'visual'

    def __init__(
        self,
        arch: str | dict = 'ViT-B-16',
        taps: Sequence[int] = (3, 7, 9),
        out_type: str = 'featmap',
        quick_gelu: bool = True,
        frozen: bool = True,
        weights: str | None = None,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(arch, quick_gelu, frozen, weights, init_cfg)
        known = dict(width=None, layers=None, patch_size=None, image_size=224, head_width=64, mlp_ratio=4.0)
        settings = tower_settings('CLIPViT', arch, 'vision_cfg', known)
        self.depth, self.patch_size, width = settings['layers'], settings['patch_size'], settings['width']
        self.taps = tuple(sorted(set(taps)))
        if not self.taps or self.taps[0] < 0 or self.taps[-1] >= self.depth:
            raise ValueError(f'CLIPViT.taps must be numbers of blocks from 0 to {self.depth - 1}, not {tuple(taps)}')
        if out_type not in ('featmap', 'raw'):
            raise ValueError(f"CLIPViT.out_type must be 'featmap' or 'raw', not {out_type!r}")
        for divisor, number in (('patch_size', 'image_size'), ('head_width', 'width')):
            if settings[number] % settings[divisor]:
                raise ValueError(f'CLIPViT.arch: {number} {settings[number]} must be a multiple of {divisor} {settings[divisor]}')
        self.out_type = out_type
        self.out_channels = (width,) * len(self.taps)
        self.visual = VisionTransformer(
            image_size=settings['image_size'],
            patch_size=self.patch_size,
            width=width,
            layers=self.taps[-1] + 1,
            heads=width // settings['head_width'],
            mlp_ratio=settings['mlp_ratio'],
            act_layer=self.activation,
        )
        self.visual.prune_intermediate_layers(list(self.taps), prune_norm=True)
        self.freeze()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> of each tap, from the first to the last, (B, C, h, w), in channels-last memory, or (B, 1 + h * w, C) if 'raw'.

        h = H / patch_size, w = W / patch_size.

        Raises:
            ValueError: H or W isn't a multiple of `patch_size`; names the padding.
        """
        grid = patch_grid(x.shape[-2], x.shape[-1], self.patch_size, 'CLIPViT')
        _, taps = self.visual.transformer.forward_intermediates(self._embed(x, grid), indices=list(self.taps))
        if self.out_type == 'raw':
            return tuple(taps)
        return tuple(tap[:, 1:].transpose(1, 2).unflatten(2, grid) for tap in taps)

    def _embed(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Images -> (B, 1 + h * w, C) tokens with positions; open_clip's own `_embeds` takes images of `image_size` only."""
        tower = self.visual
        patches = tower.conv1(x.to(tower.conv1.weight.dtype)).flatten(2).transpose(1, 2)
        first = tower.class_embedding.to(patches.dtype).expand(len(x), 1, -1)
        return tower.ln_pre(torch.cat([first, patches], dim=1) + self.positions(grid).to(patches.dtype))

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings of the class token and a grid of patches, (1, 1 + h * w, C)."""
        return resample_abs_pos_embed(self.visual.positional_embedding[None], list(grid))

    def _in_trunk(self, key: str) -> bool:
        block = re.match(r'visual\.transformer\.resblocks\.(\d+)\.', key)
        if block:
            return not self.taps[-1] < int(block[1]) < self.depth  # blocks after the last tap aren't needed
        return key.startswith('visual.') and not key.startswith(('visual.ln_post.', 'visual.proj'))
