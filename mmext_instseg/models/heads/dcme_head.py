"""DCME's decoder output: displacement vectors to the centre of mass."""

import torch
from torch import Tensor

from ...registry import MODELS, TASK_UTILS
from ..losses import half_mean_squared_error, normaliser
from .dense_head import DenseHead


@MODELS.register_module()
class DCMEHead(DenseHead):
    """Predicts (dx, dy) for each pixel; every value is an independent output (Section IV-A).

    Logs `mse`, Eq. 4 without clipping as the paper does, beside `loss_dcme`. A mean is taken over the values weighted by the codec's
    weight, so that with a background weight of 1 and no area weights it is the mean over N = 2 n r c.

    Args:
        codec: the detector's `DCMECodec`, as a config; it makes the targets.
        loss_displacement: the regression loss; any with mmdet's signature and `reduction`.
    """

    def __init__(self, codec: dict, loss_displacement: dict = dict(type='LogCoshLoss'), **kwargs) -> None:
        built = TASK_UTILS.build(codec)
        super().__init__(out_channels=sum(built.channels.values()), **kwargs)
        self.codec = built
        self.loss_displacement = MODELS.build(loss_displacement)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        target, weight = self._encode(data_samples, (raw.shape[-2], raw.shape[-1]))
        averaged = self.loss_displacement.reduction == 'mean'
        loss = self.loss_displacement(raw, target, weight=weight, avg_factor=normaliser(weight) * raw.shape[1] if averaged else None)
        return {'loss_dcme': loss, 'mse': half_mean_squared_error(raw, target, weight)}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'displacement': raw.float()}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        return {'displacement': self._encode(data_samples, shape)[0]}

    def _encode(self, data_samples: list, shape: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """Target (B, 2, h, w) and weight (B, 1, h, w)."""
        maps, weights = zip(*(self.codec.encode(sample.gt_instance_map.resize(shape)) for sample in data_samples), strict=True)
        return torch.stack([one['displacement'] for one in maps]), torch.stack(weights)[:, None]
