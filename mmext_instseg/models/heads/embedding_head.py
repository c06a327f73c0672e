"""An embedding for every pixel (embedding_unet_dbscan, Sections 4 and 5)."""

import torch
from torch import Tensor

from ...registry import MODELS, TASK_UTILS
from .dense_head import DenseHead
from .targets import instance_map


@MODELS.register_module()
class EmbeddingHead(DenseHead):
    """Predicts the map of `EmbeddingCodec`; by default a single 1x1 convolution, as Section 4's Emb Head.

    Its losses are those of `loss_instance` under their own names, times lambda. Pixels of instances count; background, ignored ones and
    samples without `gt_instance_map` cost nothing.

    Args:
        codec: the detector's codec, as a config; its `dims` is d.
        dims: d once more, checked against the codec's; None takes that.
        loss_instance: `DiscriminativeLoss`, or an alternative of Table 5; called with the embeddings (B, d, h, w), ids (B, h, w) and the
            numbers of instances, it returns losses by name.
        loss_weight: lambda of Eq. 1, for the whole of `loss_instance`.
        num_convs: 3x3 convolutions before the 1x1 one.

    Raises:
        ValueError: a codec of other maps, of other `dims`, or of other thresholds than the loss.
    """

    def __init__(
        self,
        codec: dict,
        dims: int | None = None,
        loss_instance: dict = dict(type='DiscriminativeLoss'),
        loss_weight: float = 0.5,
        num_convs: int = 0,
        **kwargs,
    ) -> None:
        built = TASK_UTILS.build(codec)
        if list(built.channels) != ['embedding'] or dims not in (None, built.channels['embedding']):
            wanted = 'embedding' if dims is None else f'embedding of {dims} channels'
            raise ValueError(f'EmbeddingHead: {type(built).__name__} has the maps {built.channels}, not one {wanted}')
        super().__init__(out_channels=built.channels['embedding'], num_convs=num_convs, **kwargs)
        self.codec = built
        self.loss_instance = MODELS.build(loss_instance)
        self.loss_weight = loss_weight
        for name in ('delta_var', 'delta_dist'):
            theirs, ours = getattr(self.loss_instance, name, None), getattr(built, name)
            if theirs not in (None, ours):
                raise ValueError(f'EmbeddingHead: {name} is {theirs} in loss_instance and {ours} in the codec; give both the same')

    def loss_by_output(self, raw: Tensor, data_samples: list) -> dict[str, Tensor]:
        instances = [instance_map(sample, (raw.shape[-2], raw.shape[-1]), raw.device) for sample in data_samples]
        losses = self.loss_instance(raw, torch.stack([one.ids for one in instances]), [len(one) for one in instances])
        return {name: self.loss_weight * value for name, value in losses.items()}

    def maps_by_output(self, raw: Tensor) -> dict[str, Tensor]:
        return {'embedding': raw.float()}

    def ideal_maps(self, data_samples: list, shape: tuple[int, int]) -> dict[str, Tensor]:
        device = self.project.weight.device
        maps = [self.codec.encode(instance_map(sample, shape, device))[0]['embedding'] for sample in data_samples]
        return {'embedding': torch.stack(maps)}
