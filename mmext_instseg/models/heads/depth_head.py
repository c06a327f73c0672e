"""Depth for every pixel (pe_centroid_generalist_panoptic, Section 3.4 and Appendix A)."""

from typing import Literal

import torch
from torch import Tensor

from ...ops import sample_nearest
from ...registry import MODELS
from .dense_head import DenseHead


@MODELS.register_module()
class DepthHead(DenseHead):
    """One channel: disparity on any scale, or metres.

    Pixels whose target isn't above 0 and samples without `gt_depth_map` cost nothing.

    Args:
        kind: 'relative': the output is disparity, trained on pseudo labels (stage 2); 'metric': a sigmoid times `max_depth` (stage 3).
        max_depth: in metres; NYUv2's is 10.
        loss_depth: None takes `AffineInvariantDepthLoss` for 'relative' and `SiLogDepthLoss` for 'metric'.

    Raises:
        ValueError: another kind; a sample whose depth is of the other kind.
    """

    def __init__(
        self, kind: Literal['relative', 'metric'] = 'metric', max_depth: float = 10.0, loss_depth: dict | None = None, **kwargs
    ) -> None:
        if kind not in ('relative', 'metric'):
            raise ValueError(f"DepthHead.kind must be 'relative' or 'metric', not {kind!r}")
        super().__init__(out_channels=1, **kwargs)
        self.kind = kind
        self.max_depth = max_depth
        default = dict(type='AffineInvariantDepthLoss' if kind == 'relative' else 'SiLogDepthLoss')
        self.loss_depth = MODELS.build(loss_depth or default)

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        target = self._targets(data_samples, (raw.shape[-2], raw.shape[-1]), raw.device)
        return {'loss_depth': self.loss_depth(self._depth(raw)[:, 0], target[:, 0])}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'depth': self._depth(raw)}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        return {'depth': self._targets(data_samples, shape, self.project.weight.device)}

    def _depth(self, raw: Tensor) -> Tensor:
        raw = raw.float()
        return raw.sigmoid() * self.max_depth if self.kind == 'metric' else raw

    def _targets(self, data_samples: list, shape: tuple[int, int], device: torch.device) -> Tensor:
        """(B, 1, h, w) float32, 0 where unknown."""
        targets = []
        for sample in data_samples:
            if 'gt_depth_map' not in sample:
                targets.append(torch.zeros(1, *shape, device=device))
                continue
            kind = sample.get('depth_kind', self.kind)
            if kind != self.kind:
                raise ValueError(f'{sample.get("img_path")}: its depth is {kind}, DepthHead.kind is {self.kind!r}')
            targets.append(sample_nearest(sample.gt_depth_map.data.float(), shape))
        return torch.stack(targets)
