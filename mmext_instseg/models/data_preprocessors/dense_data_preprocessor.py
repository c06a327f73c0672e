import torch
import torch.nn.functional as F
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from ...ops import sample_nearest
from ...registry import MODELS

DEPTH_PAD_VALUE = 0
Shape = tuple[int, int]


@MODELS.register_module()
class DenseDataPreprocessor(DetDataPreprocessor):
    """mmdet's `DetDataPreprocessor` that takes dense targets along, in training and in testing.

    `gt_instance_map`, `gt_sem_seg` and `gt_depth_map` are brought to the size of the batch: where a batch augmentation resized
    the images (it changes `img_shape`), they are resampled at pixel centres first, padding included as the images are, so that they fit
    to the last row although mmdet rounds `img_shape` down. Padding is -1 (ignored), `seg_pad_value` and 0 (unknown depth).

    Args: those of `DetDataPreprocessor`. `seg_pad_value` (default 255) must fit the dtype of the semantic maps and, with 256 or
        more classes, must be none of them; `pad_seg` has no effect.
    """

    def __init__(self, *args, **kwargs) -> None:
        super().__init__(*args, **kwargs)
        self.pad_seg = False  # the parent would do it in training only, and drop the map's metainfo

    def forward(self, data: dict, training: bool = False) -> dict:
        """Moves, normalises, pads and stacks.

        Args:
            data: `inputs`, a list of (C, H, W) or a (B, C, H, W) tensor, and `data_samples`, a list of `DetDataSample` or None.
            training: whether batch augmentations run.

        Returns:
            {'inputs': (B, C, H, W) float32, 'data_samples': the samples with dense targets of (H, W)}.
        """
        pad_shapes = self._get_pad_shape(data)
        before = (max(height for height, _ in pad_shapes), max(width for _, width in pad_shapes))
        data = super().forward(data, training)
        after = tuple(data['inputs'].shape[-2:])
        for sample in data['data_samples'] or ():
            self._fit_instance_map(sample, before, after)
            self._fit_pixels(sample, 'gt_sem_seg', before, after, self.seg_pad_value)
            self._fit_pixels(sample, 'gt_depth_map', before, after, DEPTH_PAD_VALUE)
        return data

    @staticmethod
    def _fit_instance_map(sample: DetDataSample, before: Shape, after: Shape) -> None:
        instances = sample.get('gt_instance_map')
        if instances is not None:
            inner = tuple(sample.get('img_shape', instances.shape)[:2])
            if _whole_batch_resized(instances.shape, inner, before, after):
                sample.gt_instance_map = instances.pad(before).resize(after)
            else:
                sample.gt_instance_map = instances.resize(inner).pad(after)

    @staticmethod
    def _fit_pixels(sample: DetDataSample, key: str, before: Shape, after: Shape, pad_value: int) -> None:
        pixels: PixelData | None = sample.get(key)
        if pixels is not None:
            inner = tuple(sample.get('img_shape', pixels.shape)[:2])
            maps = {}
            for name, value in pixels.items():
                if _whole_batch_resized(tuple(value.shape[-2:]), inner, before, after):
                    maps[name] = sample_nearest(_pad(value, before, pad_value), after)
                else:
                    maps[name] = _pad(sample_nearest(value, inner), after, pad_value)
            sample.set_data({key: PixelData(metainfo=pixels.metainfo, **maps)})


def _whole_batch_resized(old: Shape, new: Shape, before: Shape, after: Shape) -> bool:
    """Whether an image went from (H, W) `old` to `new` because the batch went from `before` to `after`, as BatchSyncRandomResize does."""
    scaled = tuple(int(side * (to / of)) for side, to, of in zip(old, after, before, strict=True))  # as mmdet rounds
    return new == scaled != old


def _pad(value: Tensor, shape: Shape, pad_value: int) -> Tensor:
    """(C, h, w) padded below and to the right to (C, H, W)."""
    if not value.is_floating_point() and not torch.iinfo(value.dtype).min <= pad_value <= torch.iinfo(value.dtype).max:
        raise ValueError(f'seg_pad_value={pad_value} does not fit the semantic map of {value.dtype}; load it with a wider dtype')
    return F.pad(value, (0, shape[1] - value.shape[-1], 0, shape[0] - value.shape[-2]), value=pad_value)
