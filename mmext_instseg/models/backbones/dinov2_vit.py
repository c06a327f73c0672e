"""DINOv2 as the encoder of dense heads."""

import re
from collections.abc import Sequence
from functools import partial
from math import isqrt

import torch
import torch.nn.functional as F
from mmengine.logging import print_log
from timm.layers import Mlp, PatchEmbed, SwiGLUPacked
from timm.models.vision_transformer import Block
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from ...registry import MODELS
from ..layers.local_weights import LocalWeights, split_init_cfg
from .dinov2_keys import to_timm

ARCHS: dict[str, dict] = {
    'small': dict(embed_dim=384, depth=12, num_heads=6),
    'base': dict(embed_dim=768, depth=12, num_heads=12),
    'large': dict(embed_dim=1024, depth=24, num_heads=16),
    'giant': dict(embed_dim=1536, depth=40, num_heads=24, swiglu=True),
}


def resize_positions(positions: Tensor, grid: tuple[int, int], antialias: bool) -> Tensor:
    """Position embeddings of a square grid of patches, interpolated to another grid as Meta's DINOv2 does.

    Bicubic in both kinds, but not alike. The networks with registers (`antialias=True`) go from size to size with antialiasing, as in timm.
    Those without have none, and their steps are those of a grid larger by 0.1; timm antialiases these too, and transformers leaves out
    the 0.1. Weights trained with one still work with another; the difference is about a tenth of a patch at the lower and right border.

    Args:
        positions: (1, s * s, C).
        grid: (h, w) wanted.
        antialias: which kind.

    Returns:
        (1, h * w, C) of the same dtype; as they came where the grid is already the wanted one.
    """
    side = isqrt(positions.shape[1])
    if grid == (side, side):
        return positions
    table = positions.float().transpose(1, 2).unflatten(2, (side, side))
    if antialias:
        table = F.interpolate(table, size=grid, mode='bicubic', antialias=True)
    else:
        table = F.interpolate(table, scale_factor=((grid[0] + 0.1) / side, (grid[1] + 0.1) / side), mode='bicubic')
    return table.flatten(2).transpose(1, 2).to(positions.dtype)


@MODELS.register_module()
class DINOv2ViT(LocalWeights):
    """DINOv2 (Oquab et al., 2023) from timm's parts, tapped after several blocks (Section 5.1).

    The final layer norm is applied to every tap, as DINOv2's own `get_intermediate_layers` does (the paper is silent): the residual
    stream grows with depth, and the taps are concatenated next. Class token and registers take part in attention and are left out of the
    outputs. Blocks after the last tap aren't built.

    | `arch` | blocks | channels | default `taps` | parameters |
    |---|---|---|---|---|
    | small | 12 | 384 | 3, 6, 9, 12 | 22.1 M |
    | base | 12 | 768 | 3, 6, 9, 12 (paper) | 86.6 M |
    | large | 24 | 1024 | 5, 12, 18, 24 (paper) | 304.4 M |
    | giant | 40 | 1536 | 10, 20, 30, 40 | 1136.5 M |

    `init_cfg=dict(type='Pretrained', checkpoint=PATH)` reads a local file in Meta's, timm's or Hugging Face's layout, or a checkpoint of
    ours; which one is recognised by its keys, positions of another grid are interpolated, and a report is logged (`load_weights`). Images
    are to be normalised as ImageNet's, in RGB. Without a file, linear layers start at a deviation of 0.02, and layer scale, which
    DINOv2 pretrains from 1e-5, at 1, so that small networks learn from scratch.

    Attention is `scaled_dot_product_attention`: activations are linear in the tokens N = H * W / patch_size^2. Training keeps about
    72 * B * N * C bytes a block (float32), with `with_cp` 4 * B * N * C.

    Args:
        arch: a name of the table, or a dict of embed_dim, depth, num_heads and, with a SwiGLU as giant's, swiglu=True.
        num_registers: 0, or 4 as in the published networks with registers (Darcet et al., 2023).
        taps: numbers of the blocks, counted from 1 as in the paper, after which features are taken; by default the table's, for a dict the
            quarters of its depth.
        patch_size: 14 in DINOv2.
        img_size: side of the images that the stored position embeddings are for, 518 in DINOv2; images may have any other size.
        drop_path_rate: stochastic depth, from 0 in the first block up to this in the last of `depth`.
        frozen_stages: -1: nothing is frozen; 0: the embeddings; k: the embeddings and k blocks; with all built blocks the norm too.
        with_cp: gradient checkpointing: a block's activations are computed again in the backward pass.

    Attributes:
        out_channels: channels of the outputs, for the neck's `in_channels`.

    Raises:
        ValueError: an argument is none of the values above.
    """

    def __init__(
        self,
        arch: str | dict = 'base',
        num_registers: int = 0,
        taps: Sequence[int] | None = None,
        patch_size: int = 14,
        img_size: int = 518,
        drop_path_rate: float = 0.0,
        frozen_stages: int = -1,
        with_cp: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        files, others = split_init_cfg(init_cfg)
        super().__init__([*(others or [dict(type='TruncNormal', layer='Linear', std=0.02)]), *files])
        settings = _settings(arch)
        self.arch = arch if isinstance(arch, str) else settings
        self.depth, width = settings['depth'], settings['embed_dim']
        self.taps = _taps(taps, arch, self.depth)
        if frozen_stages not in range(-1, self.taps[-1] + 1):
            raise ValueError(f'DINOv2ViT.frozen_stages must be from -1 (none) to {self.taps[-1]} (the last tap), not {frozen_stages}')
        if img_size % patch_size:
            raise ValueError(f'DINOv2ViT.img_size must be a multiple of patch_size {patch_size}, not {img_size}')
        self.patch_size, self.img_size, self.num_registers = patch_size, img_size, num_registers
        self.frozen_stages, self.with_cp = frozen_stages, with_cp
        self.out_channels = (width,) * len(self.taps)

        self.patch_embed = PatchEmbed(img_size, patch_size, embed_dim=width, strict_img_size=False)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width).normal_(std=1e-6))
        self.reg_token = nn.Parameter(torch.empty(1, num_registers, width).normal_(std=1e-6)) if num_registers else None
        places = (img_size // patch_size) ** 2 + (not num_registers)  # with registers, the class token has no position in timm
        self.pos_embed = nn.Parameter(nn.init.trunc_normal_(torch.empty(1, places, width), std=0.02))
        block: dict = dict(qkv_bias=True, init_values=1.0, norm_layer=partial(nn.LayerNorm, eps=1e-6))
        if settings['swiglu']:
            block.update(mlp_layer=SwiGLUPacked, act_layer=nn.SiLU, mlp_ratio=2 * 2.66667)
        else:
            block.update(mlp_layer=Mlp, act_layer=nn.GELU, mlp_ratio=4.0)
        rates = [drop_path_rate * place / max(1, self.depth - 1) for place in range(self.taps[-1])]
        self.blocks = nn.ModuleList(Block(width, settings['num_heads'], drop_path=rate, **block) for rate in rates)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self._freeze_stages()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> (B, C, H / patch_size, W / patch_size) of each tap, from the first to the last, in channels-last memory.

        Raises:
            ValueError: H or W isn't a multiple of `patch_size`; names the padding.
        """
        grid = self._grid(x.shape[-2], x.shape[-1])
        tokens = self._embed(x, grid)
        prefix = tokens.shape[1] - grid[0] * grid[1]
        outs = []
        for number, block in enumerate(self.blocks, 1):
            tokens = checkpoint(block, tokens, use_reentrant=False) if self.with_cp and tokens.requires_grad else block(tokens)
            if number in self.taps:
                outs.append(self.norm(tokens[:, prefix:]).transpose(1, 2).unflatten(2, grid))
        return tuple(outs)

    def train(self, mode: bool = True) -> 'DINOv2ViT':
        super().train(mode)
        self._freeze_stages()
        return self

    def get_layer_depth(self, param_name: str, prefix: str = '') -> tuple[int, int]:
        """Depth of a parameter, for mmpretrain's `LearningRateDecayOptimWrapperConstructor`, as mmpretrain's backbones give it.

        Args:
            param_name: its name in the model that is trained.
            prefix: what stands before the backbone's parameters there.

        Returns:
            (depth, number of depths): 0 the embeddings, k block k, and the last one for the norm and whatever isn't the backbone's. With
            `layer_decay_rate` r the learning rate is multiplied by r^(number - 1 - depth).
        """
        last = len(self.blocks) + 1
        name = param_name.removeprefix(prefix) if param_name.startswith(prefix) else ''
        block = re.match(r'blocks\.(\d+)\.', name)
        if block:
            return int(block[1]) + 1, last + 1
        return 0 if name.startswith(('patch_embed.', 'cls_token', 'reg_token', 'pos_embed')) else last, last + 1

    def _grid(self, height: int, width: int) -> tuple[int, int]:
        size = self.patch_size
        rows, cols = -height % size, -width % size
        if rows or cols:
            raise ValueError(
                f'DINOv2ViT: an image of {height}x{width} (height x width) is no multiple of the patch size {size}: pad it by {rows} rows '
                f'and {cols} columns to {height + rows}x{width + cols}; data_preprocessor=dict(pad_size_divisor={size}) does it'
            )
        return height // size, width // size

    def _embed(self, x: Tensor, grid: tuple[int, int]) -> Tensor:
        """Images -> (B, 1 + registers + h * w, C) tokens with positions."""
        tokens = self.patch_embed(x)
        tokens = tokens + self.positions(grid)
        first = [self.cls_token + self.pos_embed[:, :1]] if self.reg_token is None else [self.cls_token, self.reg_token]
        return torch.cat([*(token.expand(len(x), -1, -1) for token in first), tokens], dim=1)

    def positions(self, grid: tuple[int, int]) -> Tensor:
        """Position embeddings of a grid of patches, (1, h * w, C)."""
        own = 1 - bool(self.num_registers)
        return resize_positions(self.pos_embed[:, own:], grid, antialias=bool(self.num_registers))

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        for token in (self.cls_token, self.reg_token, self.pos_embed):
            if token is not None:
                token.requires_grad = False
        whole = [self.norm] if self.frozen_stages == len(self.blocks) else []
        for module in (self.patch_embed, *self.blocks[: self.frozen_stages], *whole):
            module.eval()
            module.requires_grad_(False)

    def _own_keys(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        found, layout = to_timm(found)
        print_log(f"DINOv2ViT: the keys are {layout}'s.", logger='current')
        positions = found.get('pos_embed')
        own = 1 - bool(self.num_registers)
        if positions is not None and positions.shape[1:] != self.pos_embed.shape[1:]:
            side, wanted = isqrt(positions.shape[1] - own), self.img_size // self.patch_size
            if side**2 == positions.shape[1] - own:  # else a network with registers instead of one without, or the other way round
                resized = resize_positions(positions[:, own:], (wanted, wanted), antialias=bool(self.num_registers))
                found['pos_embed'] = torch.cat([positions[:, :own], resized], dim=1)
                print_log(f'DINOv2ViT: position embeddings of {side}x{side} patches resized to {wanted}x{wanted}.', logger='current')
        return found

    def _in_trunk(self, key: str) -> bool:
        block = re.match(r'blocks\.(\d+)\.', key)
        if block:
            return not len(self.blocks) <= int(block[1]) < self.depth  # blocks after the last tap aren't needed
        return key.startswith(('patch_embed.', 'norm.')) or key in ('cls_token', 'reg_token', 'pos_embed')

    def _described(self) -> str:
        return f'arch={self.arch!r}, num_registers={self.num_registers}, patch_size={self.patch_size}'

    def _expected_file(self) -> str:
        where = ''
        if isinstance(self.arch, str) and self.num_registers in (0, 4):
            letter, reg = self.arch[0], 'reg4_' if self.num_registers else ''
            hub = f'dinov2-with-registers-{self.arch}' if self.num_registers else f'dinov2-{self.arch}'
            where = (
                f' Download https://dl.fbaipublicfiles.com/dinov2/dinov2_vit{letter}14/dinov2_vit{letter}14_{reg}pretrain.pth, or '
                f'model.safetensors of facebook/{hub} or timm/vit_{self.arch}_patch14_{reg}dinov2.lvd142m at huggingface.co, '
                "and name it in init_cfg=dict(type='Pretrained', checkpoint=PATH)."
            )
        return f"Expected is a local file of DINOv2 ({self._described()}) with Meta's, timm's or Hugging Face's keys.{where}"


def _settings(arch: str | dict) -> dict:
    if isinstance(arch, str) and arch not in ARCHS:
        raise ValueError(f'DINOv2ViT.arch must be one of {", ".join(ARCHS)} or a dict, not {arch!r}')
    settings = {'swiglu': False, **(ARCHS[arch] if isinstance(arch, str) else arch)}
    if settings.keys() != {'embed_dim', 'depth', 'num_heads', 'swiglu'}:
        raise ValueError(f'DINOv2ViT.arch needs embed_dim, depth, num_heads and at most swiglu besides; it has {sorted(arch)}')
    return settings


def _taps(taps: Sequence[int] | None, arch: str | dict, depth: int) -> tuple[int, ...]:
    if taps is None:
        taps = (5, 12, 18, 24) if arch == 'large' else [-(-depth * quarter // 4) for quarter in (1, 2, 3, 4)]
    chosen = tuple(sorted(set(taps)))
    if not chosen or chosen[0] < 1 or chosen[-1] > depth:
        raise ValueError(f'DINOv2ViT.taps must be numbers of blocks from 1 to {depth}, not {tuple(taps)}')
    return chosen
