"""Cures of lvis, cityscapesscripts, mmdet and mmseg, applied when the module in question is imported, and in it alone."""

import importlib
import sys
from collections.abc import Callable
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
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
    """lvis 0.5.3 calls np.float, gone since NumPy 1.24 (lvis-dataset/lvis-api issue 42). Goes with a newer lvis."""
    module.np = NumpyWith(float=float)


def _cure_cityscapes(module: Any) -> None:
    """cityscapesscripts 2.3.0 calls np.in1d, gone since NumPy 2.4. Goes with a newer cityscapesscripts."""

    def in1d(values: Any, wanted: Any, invert: bool = False) -> numpy.ndarray:
        return numpy.isin(numpy.ravel(values), wanted, invert=invert)

    module.np = NumpyWith(in1d=in1d)


def _cure_depth_metric(module: Any) -> None:
    """mmseg 1.2.2: DepthMetric(depth_metrics=[...]) calls isinstance(..., [tuple, list]), a TypeError. Goes with a newer mmseg."""
    cls = module.DepthMetric
    original = cls.__init__

    def __init__(self, depth_metrics: Any = None, *args: Any, **kwargs: Any) -> None:
        original(self, None, *args, **kwargs)
        if depth_metrics is None:
            return
        unknown = [name for name in depth_metrics if name not in self.METRICS]
        if isinstance(depth_metrics, str) or unknown:
            raise ValueError(f'DepthMetric: unknown depth_metrics {unknown or depth_metrics!r}; choose a list of {list(self.METRICS)}')
        self.metrics = depth_metrics

    cls.__init__ = __init__


def pq_compute_single_core(proc_id: int, annotation_set: Any, *args: Any, **kwargs: Any) -> Any:
    """mmdet's function, which counts a segment with id 0 as void without a word, behind a check that refuses it.

    Raises:
        ValueError: an id below 1, naming the image.
    """
    from mmdet.evaluation.functional.panoptic_utils import _unchecked

    for pair in annotation_set:
        for annotation, side in zip(pair, ('annotation', 'prediction'), strict=True):
            if any(segment['id'] < 1 for segment in annotation['segments_info']):
                raise ValueError(f'image {annotation["image_id"]}: the {side} has a segment with id 0, which means void; number from 1')
    return _unchecked(proc_id, annotation_set, *args, **kwargs)


def _cure_panoptic(module: Any) -> None:
    """mmdet 3.3.0 scores segments with id 0 as void (mmdetection issue 12305: PQ 0, no error). Goes with a check upstream."""
    utils: Any = importlib.import_module('mmdet.evaluation.functional.panoptic_utils')
    utils._unchecked = utils.pq_compute_single_core
    utils.pq_compute_single_core = module.pq_compute_single_core = pq_compute_single_core


CURES: dict[str, Callable[[ModuleType], None]] = {
    'lvis.eval': _cure_lvis,
    'cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling': _cure_cityscapes,
    'cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling': _cure_cityscapes,
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
    """Stands first in sys.meta_path and hands the modules of `CURES` to a curing loader."""

    searching: set[str] = set()

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if name not in CURES or name in self.searching:
            return None
        self.searching.add(name)
        try:
            spec = find_spec(name)
        finally:
            self.searching.discard(name)
        if spec is not None and spec.loader is not None:
            spec.loader = _CuringLoader(spec.loader, CURES[name])
        return spec


def apply() -> None:
    """Cures what is imported already, and watches for the rest; a second call changes nothing."""
    if any(isinstance(finder, _CuringFinder) for finder in sys.meta_path):
        return
    for name, cure in CURES.items():
        if name in sys.modules:
            cure(importlib.import_module(name))
    sys.meta_path.insert(0, _CuringFinder())
