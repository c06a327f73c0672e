"""Cures of lvis, cityscapesscripts, mmdet and mmseg, applied when the module in question is imported, and in it alone."""

import functools
import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy


class NumpyWith:
    """numpy with names that it dropped: what a module written for an older numpy sees."""

    def __init__(self, **names: Any) -> None:
        self._names = names

    def __getattr__(self, name: str) -> Any:
        names = self.__dict__['_names']
        return names[name] if name in names else getattr(numpy, name)


def _cure_lvis(module: Any) -> None:
    """lvis 0.5.3 calls np.float, gone since NumPy 1.24.

    Upstream: lvis-dataset/lvis-api issue 37, resolved on its main branch by pull request 42. Goes with a release after 0.5.3.
    """
    module.np = NumpyWith(float=float)


def _cure_cityscapes(module: Any) -> None:
    """cityscapesscripts 2.3.0 calls np.in1d, gone since NumPy 2.4, and takes the last of no sums where all predictions are ignored.

    Upstream: mcordts/cityscapesScripts pull request 196 and issue 89, both open. Goes with a release that closes them.
    """

    def in1d(values: Any, wanted: Any, invert: bool = False) -> numpy.ndarray:
        return numpy.isin(numpy.ravel(values), wanted, invert=invert)

    def cumsum(values: numpy.ndarray) -> numpy.ndarray:
        return numpy.cumsum(values) if len(values) else numpy.zeros(1)

    module.np = NumpyWith(in1d=in1d, cumsum=cumsum)


def _cure_depth_metric(module: Any) -> None:
    """mmseg 1.2.2: DepthMetric(depth_metrics=[...]) calls isinstance(..., [tuple, list]), a TypeError.

    Upstream: since open-mmlab/mmsegmentation pull request 3297; no issue found. Goes with a release after 1.2.2.
    """
    cls = module.DepthMetric
    original = cls.__init__

    @functools.wraps(original)
    def __init__(self, depth_metrics: Any = None, *args: Any, **kwargs: Any) -> None:
        original(self, None, *args, **kwargs)
        if depth_metrics is None:
            return
        if isinstance(depth_metrics, str) or not set(depth_metrics) <= set(self.METRICS):
            raise ValueError(f'DepthMetric: depth_metrics={depth_metrics!r}; give a list of names out of {list(self.METRICS)}')
        self.metrics = depth_metrics

    cls.__init__ = __init__


def pq_compute_single_core(proc_id: int, annotation_set: Any, *args: Any, **kwargs: Any) -> Any:
    """mmdet's function behind a check of the segment ids. At the top of this module, so that worker processes find it.

    Raises:
        ValueError: an id below 1, with the file and the way out.
    """
    from mmdet.evaluation.functional import panoptic_utils

    way_out = {
        'annotation': 'number the segments from 1',
        'prediction': 'mmdet numbers a stuff segment by its label: let a thing class come first in metainfo["classes"]',
    }
    for pair in annotation_set:
        for annotation, side in zip(pair, way_out, strict=True):
            for segment in annotation['segments_info']:
                if segment['id'] < 1:
                    where = f'{annotation["file_name"]} (image {annotation["image_id"]})'
                    raise ValueError(f'{where}: the {side} has a segment with id {segment["id"]}; 0 means void: {way_out[side]}')
    return panoptic_utils.pq_compute_single_core_unchecked(proc_id, annotation_set, *args, **kwargs)


def _cure_panoptic(module: Any) -> None:
    """mmdet 3.3.0 scores a segment with id 0 as void, without a word.

    Upstream: as in open-mmlab/mmdetection issue 12305 (PQ 0, no error). Goes with a check in mmdet.
    """
    utils: Any = importlib.import_module('mmdet.evaluation.functional.panoptic_utils')
    if utils.pq_compute_single_core is not pq_compute_single_core:
        utils.pq_compute_single_core_unchecked = utils.pq_compute_single_core
    utils.pq_compute_single_core = module.pq_compute_single_core = pq_compute_single_core


def _cure_multi_source_sampler(module: Any) -> None:
    """mmdet 3.3.0: a data set whose share of a batch rounds to 0 makes MultiSourceSampler loop forever, without a word.

    Upstream: as far as we know not reported. Goes with a check in mmdet.
    """
    cls = module.MultiSourceSampler
    original = cls.__init__

    @functools.wraps(original)
    def __init__(self, dataset: Any, batch_size: int, source_ratio: list[float], *args: Any, **kwargs: Any) -> None:
        original(self, dataset, batch_size, source_ratio, *args, **kwargs)
        if 0 in self.num_per_source:
            raise ValueError(
                f'MultiSourceSampler: of batch_size={batch_size}, source_ratio={list(source_ratio)} gives the data sets '
                f'{list(self.num_per_source)} images; make the batch larger or the ratio less uneven, so that each has one'
            )

    cls.__init__ = __init__


CURES: dict[str, Callable[[ModuleType], None]] = {
    'lvis.eval': _cure_lvis,
    'cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling': _cure_cityscapes,
    'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling': _cure_cityscapes,
    'mmdet.datasets.samplers.multi_source_sampler': _cure_multi_source_sampler,
    'mmdet.evaluation.metrics.coco_panoptic_metric': _cure_panoptic,
    'mmseg.evaluation.metrics.depth_metric': _cure_depth_metric,
}


class _CuringLoader(Loader):
    """Loads a module as its own loader does, then cures it."""

    def __init__(self, loader: Any, cure: Callable[[ModuleType], None]) -> None:
        self.loader = loader
        self.cure = cure

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self.loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self.loader.exec_module(module)
        self.cure(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__['loader'], name)


class _CuringFinder(MetaPathFinder):
    """Stands first in sys.meta_path and hands the modules of `CURES`, found by the others, to a curing loader."""

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in CURES:
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec is not None and spec.loader is not None:
                spec.loader = _CuringLoader(spec.loader, CURES[name])
                return spec
        return None


def apply() -> None:
    """Cures what is imported already, and watches for the rest; a second call changes nothing."""
    if any(isinstance(finder, _CuringFinder) for finder in sys.meta_path):
        return
    for name, cure in CURES.items():
        if name in sys.modules:
            cure(importlib.import_module(name))
    sys.meta_path.insert(0, _CuringFinder())
