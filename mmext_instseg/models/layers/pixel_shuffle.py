"""Sub-pixel convolution that starts without checkerboard."""

import torch
from mmcv.cnn.bricks.upsample import PixelShufflePack
from mmengine.model import xavier_init


class ICNRPixelShuffle(PixelShufflePack):
    """mmcv's PixelShuffle block (Shi et al., 2016) initialised to convolution and nearest-neighbour resize (Aitken et al., 2017).

    The r^2 sub-filters that make the r x r pixels of one output channel start alike, the bias at 0, as ICNR asks; each as mmcv's block
    starts a convolution of as many outputs (Xavier, uniform).
    """

    @torch.no_grad()
    def init_weights(self) -> None:
        conv, copies = self.upsample_conv, self.scale_factor**2
        single = torch.nn.Conv2d(conv.in_channels, self.out_channels, conv.kernel_size)
        xavier_init(single, distribution='uniform')
        conv.weight.copy_(single.weight.repeat_interleave(copies, dim=0))
        conv.bias.zero_()
