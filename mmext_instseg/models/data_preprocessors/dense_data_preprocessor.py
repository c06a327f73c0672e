import torch
import torch.nn.functional as F
from mmdet.models.data_preprocessors import DetDataPreprocessor
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from torch import Tensor

from ...registry import MODELS

DEPTH_PAD_VALUE = 0


@MODELS.register_module()
class DenseDataPreprocessor(DetDataPreprocessor):
    """mmdet's `DetDataPreprocessor` that takes dense targets along, in training and in testing.

    `gt_instance_map`, `gt_sem_seg` and `gt_depth_map` are brought to the size of the batch: where a batch augmentation resized
    the images (it changes `img_shape`), they are resampled at pixel centres first. Padding is -1 (ignored), `seg_pad_value` and 0
    (unknown depth).

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
        data = super().forward(data, training)
        shape = tuple(data['inputs'].shape[-2:])
        for sample in data['data_samples'] or ():
            self._fit_instance_map(sample, shape)
            self._fit_pixels(sample, 'gt_sem_seg', shape, self.seg_pad_value)
            self._fit_pixels(sample, 'gt_depth_map', shape, DEPTH_PAD_VALUE)
        return data

    @staticmethod
    def _fit_instance_map(sample: DetDataSample, shape: tuple[int, int]) -> None:
        instances = sample.get('gt_instance_map')
        if instances is not None:
            sample.gt_instance_map = instances.resize(tuple(sample.get('img_shape', instances.shape)[:2])).pad(shape)

    @staticmethod
    def _fit_pixels(sample: DetDataSample, key: str, shape: tuple[int, int], pad_value: int) -> None:
        pixels: PixelData | None = sample.get(key)
        if pixels is not None:
            inner = tuple(sample.get('img_shape', pixels.shape)[:2])
            maps = {name: _resize_and_pad(value, inner, shape, pad_value) for name, value in pixels.items()}
            sample.set_data({key: PixelData(metainfo=pixels.metainfo, **maps)})


def _resize_and_pad(value: Tensor, inner: tuple[int, int], outer: tuple[int, int], pad_value: int) -> Tensor:
    """(C, H, W) sampled at the pixel centres of `inner`, then padded below and to the right up to `outer`."""
    if not value.is_floating_point() and not torch.iinfo(value.dtype).min <= pad_value <= torch.iinfo(value.dtype).max:
        raise ValueError(f'seg_pad_value={pad_value} does not fit the semantic map of {value.dtype}; load it with a wider dtype')
    if tuple(value.shape[-2:]) != inner:
        value = F.interpolate(value[None].double(), inner, mode='nearest-exact')[0].to(value.dtype)  # double holds every integer id
    return F.pad(value, (0, outer[1] - inner[1], 0, outer[0] - inner[0]), value=pad_value)
