"""DCME's encoder: VGG-16, dilated as DeepLabv3+, with five convolutions more at its end."""

from itertools import pairwise

from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ...registry import MODELS
from .vgg import VGGEncoder


@MODELS.register_module()
class VGGDeepLab(VGGEncoder):
    """The encoder of Section V: VGG-16 with "5 convolutional layers [added] to the end", at Gs = `output_stride` (Eq. 1).

    The last pool is left out. At an output stride of 16 the added convolutions are dilated by 2 in its stead. At 8, pool4 goes over
    the map without stride, conv5 is dilated by 2 and the added ones by 4: every second value, the same as at 16 (ours; DeepLab's
    way). The added convolutions are 3x3 with batch norm (ours). For the paper's fine-tuning of the last layers only
    (Section V-C), `frozen_stages=5`.

    An image of (H, W) gives maps of (ceil(H / s), ceil(W / s)) at stride s. Of an image that `output_stride` divides, grid block
    (i, j) is exactly the pixels with floor(P / Gs) = (i, j) (Eq. 2); pad to a multiple of it. Training needs more than one block in the
    batch: batch norm over one value is undefined.

    Args:
        depth: 11, 13, 16 (the paper's) or 19.
        output_stride: 16 or 8.
        out_indices: the outputs: 0 to 4 are VGG's stages, before their pools, with 64, 128, 256, 512, 512 channels at strides 1, 2,
            4, 8 and `output_stride`; 5 is the end of the added convolutions.
        num_extra_convs, extra_channels, extra_norm_cfg: the added convolutions.
        norm_cfg, frozen_stages, norm_eval, init_cfg: as in `VGGEncoder`, about VGG alone.
    """

    def __init__(
        self,
        depth: int = 16,
        output_stride: int = 16,
        out_indices: tuple[int, ...] = (2, 5),
        num_extra_convs: int = 5,
        extra_channels: int = 512,
        extra_norm_cfg: dict | None = dict(type='BN'),
        norm_cfg: dict | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if output_stride not in (8, 16):
            raise ValueError(f'VGGDeepLab.output_stride must be 8 or 16, not {output_stride}')
        if not set(out_indices) <= set(range(6)):
            raise ValueError(f"VGGDeepLab.out_indices must be from 0 to 4 (VGG's stages) or 5 (the end), not {tuple(out_indices)}")
        super().__init__(
            depth,
            norm_cfg,
            frozen_stages,
            norm_eval,
            init_cfg,
            dilations=(1, 1, 1, 1, 16 // output_stride),
            out_indices=tuple(out_indices),
            with_last_pool=False,
        )
        if output_stride == 8:  # zeros are neutral: it follows a ReLU
            self.features[self.range_sub_modules[3][1] - 1] = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.MaxPool2d(2, stride=1))
        dilation = 32 // output_stride
        widths = [512] + [extra_channels] * num_extra_convs
        self.extra = nn.Sequential(
            *(ConvModule(i, o, 3, padding=dilation, dilation=dilation, norm_cfg=extra_norm_cfg) for i, o in pairwise(widths))
        )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) -> the outputs of `out_indices`, in their order, (B, C, ceil(H / s), ceil(W / s)) each."""
        outs: dict[int, Tensor] = {}
        stage = 0
        for layer in self.features:
            x = layer(x)
            if not isinstance(layer, ConvModule):  # a pool
                stage += 1
            elif stage in self.out_indices:
                outs[stage] = x
        outs[5] = self.extra(x)
        return tuple(outs[index] for index in self.out_indices)
