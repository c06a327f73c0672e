"""SegNet (Badrinarayanan, Kendall and Cipolla): the other network that the DCME paper tried."""

import torch.nn.functional as F
from mmcv.cnn import ConvModule
from torch import Tensor, nn

from ...registry import MODELS
from .vgg import VGGEncoder


@MODELS.register_module()
class SegNet(VGGEncoder):
    """SegNet for the paper's comparison of networks (Section V: 7.5 AP against 11.5 with DeepLabv3+).

    VGG with all five pools; each decoder stage puts values back to where their pool took them from, then convolves as its encoder
    stage did, the other way round. Of the last convolution SegNet makes the classes; here it gives 64 channels for the heads (ours).
    Needs no neck: `DCMEHead` reads output 0 and `GridClassHead` output 1 (Gs = 32).

    Args:
        depth: 11, 13, 16 (SegNet's) or 19.
        decoder_norm_cfg: normalisation in the decoder.
        norm_cfg, frozen_stages, norm_eval, init_cfg: as in `VGGEncoder`, about the encoder alone. SegNet's has batch norm; the
            default hasn't, so that the same weights serve as in `VGGDeepLab` (ours).
    """

    def __init__(
        self,
        depth: int = 16,
        decoder_norm_cfg: dict | None = dict(type='BN'),
        norm_cfg: dict | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(depth, norm_cfg, frozen_stages, norm_eval, init_cfg)
        for layer in self.features:
            if isinstance(layer, nn.MaxPool2d):
                layer.return_indices = True
        self.decoder = nn.ModuleList()
        for start, end in reversed(self.range_sub_modules):
            layers = [layer for layer in self.features[start:end] if isinstance(layer, ConvModule)]
            # The first stage would end in the image's 3 channels: there the number stays.
            widths = [(layer.out_channels, layer.in_channels if layer.in_channels > 3 else layer.out_channels) for layer in layers[::-1]]
            self.decoder.append(nn.Sequential(*(ConvModule(i, o, 3, padding=1, norm_cfg=decoder_norm_cfg) for i, o in widths)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W), any size -> the decoder's (B, 64, H, W), the encoder's (B, 512, ceil(H / 32), ceil(W / 32))."""
        pools: list[tuple[Tensor, tuple[int, int]]] = []
        for layer in self.features:
            if isinstance(layer, ConvModule):
                x = layer(x)
            else:
                shape = (x.shape[-2], x.shape[-1])
                x, indices = layer(x)
                pools.append((indices, shape))
        encoded = x
        for stage, (indices, shape) in zip(self.decoder, reversed(pools), strict=True):
            x = stage(F.max_unpool2d(x, indices, (2, 2), output_size=shape))
        return x, encoded
