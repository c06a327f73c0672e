from collections.abc import Sequence

import numpy as np
import torch
from mmdet.datasets.transforms import PackDetInputs
from mmengine.structures import PixelData

from ...registry import TRANSFORMS
from .depth import check_depth_moved

META_KEYS = (
    'img_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'text',
    'custom_entities',
    'depth_kind',
    'depth_map_path',
    'depth_scale',
)


@TRANSFORMS.register_module()
class PackDenseInputs(PackDetInputs):
    """mmdet's `PackDetInputs` with dense targets beside the boxes; in testing the targets may be absent.

    The data sample has, where `results` has the source:
    - `gt_instance_map`: the `InstanceMap` of `GenerateInstanceMap`;
    - `gt_sem_seg.sem_seg` (1, H, W): gt_seg_map;
    - `gt_depth_map.data` (1, H, W) float32: gt_depth_map of `LoadDepthMap`, 0 or less where unknown; `depth_kind` says in what unit.

    Args:
        meta_keys: of `results`, what becomes metainfo where present; mmdet's default, the text query (`text`, `custom_entities`) and
            what `LoadDepthMap` says of depth (`depth_kind`, `depth_map_path`, `depth_scale`).
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__(meta_keys=meta_keys)

    def transform(self, results: dict) -> dict:
        """Returns {'inputs': (C, H, W) tensor of the image's dtype, 'data_samples': `DetDataSample`}.

        Raises:
            ValueError: a dense target of another size than the image, or depth that a flip or crop left behind; an image that `Pad` has
                enlarged, which then passes for its whole; names the image.
        """
        if 'pad_shape' in results:
            raise ValueError(
                f'{results.get("img_path")}: leave Pad out of the pipeline, it hides where the image ends; DenseDataPreprocessor pads the '
                'batch by its pad_size_divisor'
            )
        for key in ('gt_instance_map', 'gt_seg_map', 'gt_depth_map'):
            if key in results and 'img' in results and tuple(results[key].shape) != results['img'].shape[:2]:
                raise ValueError(
                    f'{results.get("img_path")}: {key} has {"x".join(map(str, results[key].shape))} pixels, the image '
                    f'{"x".join(map(str, results["img"].shape[:2]))}; load annotations before Resize and use transforms that change both'
                )
        check_depth_moved(results)
        packed = super().transform(results)
        sample = packed['data_samples']
        if 'gt_instance_map' in results:
            sample.gt_instance_map = results['gt_instance_map']
        if 'gt_depth_map' in results:
            sample.gt_depth_map = PixelData(data=torch.from_numpy(np.ascontiguousarray(results['gt_depth_map'][None], np.float32)))
        return packed
