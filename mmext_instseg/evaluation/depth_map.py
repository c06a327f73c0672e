from collections.abc import Sequence

import torch
from mmseg.evaluation import DepthMetric

from ..datasets.depth_files import read_depth_map
from ..registry import METRICS


@METRICS.register_module()
class DepthMapMetric(DepthMetric):
    """mmseg's `DepthMetric` against the depth files themselves, for samples of which some have no depth.

    `DepthMetric` takes `gt_depth_map` of the sample, which our pipelines resize with the image and pad to the batch. Here the truth is
    the file that `LoadDepthMap` read, at the image's original size, as `pred_depth_map` is. Samples without depth, and images without a
    pixel between `min_depth_eval` and `max_depth_eval`, don't count; the figures are means over the other images.

        dict(type='DepthMapMetric', depth_metrics=['rmse', 'abs_rel'], min_depth_eval=0.001, max_depth_eval=10.0)

    Args: those of `DepthMetric`. `crop_type='nyu_crop'` fits images of 480 x 640.

    Raises:
        ValueError: relative depth, which has no unit to compare in; a prediction of another size than the file, or none; no image
            that counts.
    """

    default_prefix = 'depth'

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Keeps true and predicted depth of each sample, None where there is none.

        Args:
            data_batch: not read.
            data_samples: with depth_kind, depth_map_path and depth_scale where there is depth, and `pred_depth_map.data` (1, H, W) metres.
        """
        for sample in data_samples:
            if self.format_only:
                super().process(data_batch, [sample])
            elif 'depth_kind' in sample:
                super().process(data_batch, [{**sample, 'gt_depth_map': {'data': self._truth(sample)}}])
            else:
                self.results.append(None)  # between processes, results are collected by their number

    @staticmethod
    def _truth(sample: dict) -> torch.Tensor:
        path = sample['depth_map_path']
        if sample['depth_kind'] != 'metric':
            raise ValueError(f'{path}: DepthMapMetric needs metric depth, this is {sample["depth_kind"]}; leave the metric out')
        if 'pred_depth_map' not in sample:
            raise ValueError(f'{path}: the model predicted no depth; give it a depth head or leave DepthMapMetric out')
        truth, shape = torch.from_numpy(read_depth_map(path, sample['depth_scale'])), sample['pred_depth_map']['data'].shape[-2:]
        if truth.shape != shape:
            raise ValueError(f'{path}: depth of {tuple(truth.shape)} pixels, predicted are {tuple(shape)}; predict with rescale=True')
        return truth

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Figures by name, means over the images that count."""
        counted = [one for one in results if one is not None and len(one[0])]
        if not counted and not self.format_only:
            raise ValueError(
                f'DepthMapMetric: none of {len(results)} images has depth between {self.min_depth_eval} and {self.max_depth_eval}; load it '
                'with LoadDepthMap in the test pipeline, at the right scale'
            )
        return super().compute_metrics(counted)
