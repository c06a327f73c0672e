"""The Shapes data as data sets of mmdet and mmseg."""

import logging
import os
from pathlib import Path

from mmdet.datasets import CocoDataset, CocoPanopticDataset
from mmengine.logging import print_log
from mmseg.datasets import BaseSegDataset

from mmext_instseg.registry import DATASETS

from ..phrases import PhraseCutDataset
from .depth import SHAPES_DEPTH
from .folder import SHAPES, FileSet
from .phrase_files import REFER_FILE, SHAPES_PHRASES
from .scene import STUFF, THINGS
from .semantic import SHAPES_SEMANTIC

_THING_COLORS = [(230, 60, 90), (60, 140, 230), (60, 200, 100), (235, 225, 60), (160, 70, 230)]
_STUFF_COLORS = [(120, 110, 100), (170, 170, 170), (90, 120, 130)]


@DATASETS.register_module()
class ShapesDataset(CocoDataset):
    """Synthetic scenes of five shapes, made on first use (some 10 ms a 128x128 scene) and reused afterwards.

    The loader that holds this data set is built before the evaluator opens its annotation file, so a fresh machine needs no
    separate step. `CocoMetric` takes `ann_file=<folder>/instances.json`, where <folder> is

        <data_root>/v1_<variant>_<height>x<width>_seed<seed>_n<num_images>

    as `shapes_folder` computes it. Validate on another seed than you train on.

    Args:
        data_root (str): Folder of all Shapes data sets.
        variant (str): 'standard': a class has its own mean hue, hue alone names about 85 % of the objects. 'hard': the same scenes
            with hues that say nothing.
        size (tuple[int, int]): (height, width) in pixels, each at least 32.
        seed (int): Seed of the series of scenes.
        num_images (int): How many; a shorter set is the start of a longer one.
        **kwargs: As `CocoDataset`, but for `ann_file` and `data_prefix`, which follow from the above.

    Raises:
        ValueError: A value is out of its range.
        RuntimeError: The folder is there but isn't whole.
    """

    METAINFO = {
        'classes': THINGS,
        'palette': _THING_COLORS,
    }

    def __init__(
        self,
        data_root: str = 'data/shapes',
        variant: str = 'standard',
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        num_images: int = 800,
        **kwargs,
    ) -> None:
        _refuse_files(kwargs)
        folder = _find_or_make(SHAPES, data_root, variant, size, seed, num_images)
        super().__init__(data_root=os.fspath(folder), ann_file='instances.json', data_prefix={'img': 'images/'}, **kwargs)


@DATASETS.register_module()
class ShapesPanopticDataset(CocoPanopticDataset):
    """The same scenes with things and stuff, made on first use as by `ShapesDataset`.

    The labels are 0..4, the things, and 5..7, the stuff; no pixel is void. `CocoPanopticMetric` takes `ann_file=<folder>/panoptic.json`
    and `seg_prefix=<folder>/panoptic/`, `GenerateInstanceMap` num_things=5.

    Args:
        data_root, variant, size, seed, num_images: as `ShapesDataset`.
        depth (bool): Names each scene's depth map for `LoadDepthMap(kind='metric', scale=0.001)`; made on first use too, see
            `make_shapes_depth`.
        **kwargs: As `CocoPanopticDataset`, but for `ann_file` and `data_prefix`, which follow from the above.

    Raises:
        ValueError: A value is out of its range.
        RuntimeError: The folder is there but isn't whole.
    """

    METAINFO = {
        'classes': (*THINGS, *STUFF),
        'thing_classes': THINGS,
        'stuff_classes': STUFF,
        'palette': [*_THING_COLORS, *_STUFF_COLORS],
    }

    def __init__(
        self,
        data_root: str = 'data/shapes',
        variant: str = 'standard',
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        num_images: int = 800,
        depth: bool = False,
        **kwargs,
    ) -> None:
        _refuse_files(kwargs)
        folder = _find_or_make(SHAPES, data_root, variant, size, seed, num_images)
        self.depth_folder = SHAPES_DEPTH.make(data_root, variant, size, seed, num_images) if depth else None
        prefix = {'img': 'images/', 'seg': 'panoptic/'}
        super().__init__(data_root=os.fspath(folder), ann_file='panoptic.json', data_prefix=prefix, **kwargs)

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """As mmdet's, with depth_map_path if depth is asked for."""
        info = super().parse_data_info(raw_data_info)
        if self.depth_folder is not None:
            info['depth_map_path'] = str(self.depth_folder / 'annotations' / Path(info['img_path']).name)
        return info


@DATASETS.register_module()
class ShapesPhraseDataset(PhraseCutDataset):
    """The same scenes with phrases such as 'the small red circle' or 'squares left of the star', made on first use as by `ShapesDataset`.

    About 16 phrases a scene, a sixth of them negative ones (`scene_phrases`); in training these are drawn with probability `negative_prob`.
    Test on another seed than you train on, for scenes that training hasn't seen.

    Args:
        data_root, variant, size, seed, num_images: as `ShapesDataset`.
        **kwargs: as `PhraseCutDataset`, but for `ann_file`, `image_file` and `data_prefix`, which follow from the above.

    Raises:
        ValueError: A value is out of its range.
        RuntimeError: The folder is there but isn't whole.
    """

    def __init__(
        self,
        data_root: str = 'data/shapes',
        variant: str = 'standard',
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        num_images: int = 800,
        **kwargs,
    ) -> None:
        _refuse_files(kwargs)
        folder = _find_or_make(SHAPES_PHRASES, data_root, variant, size, seed, num_images)
        super().__init__(data_root=os.fspath(folder), ann_file=REFER_FILE, **kwargs)


@DATASETS.register_module()
class ShapesSegDataset(BaseSegDataset):
    """The same scenes for mmseg's semantic segmentors, made on first use as by `ShapesDataset`.

    The labels are 0..4, the things, and 5..7, the stuff; no pixel is void.

    Args:
        data_root, variant, size, seed, num_images: as `ShapesDataset`.
        **kwargs: as mmseg's `BaseSegDataset`, but for `ann_file`, `data_prefix` and suffixes, which follow from the above.

    Raises:
        ValueError: A value is out of its range.
        RuntimeError: The folder is there but isn't whole.
    """

    METAINFO = {'classes': (*THINGS, *STUFF), 'palette': [*_THING_COLORS, *_STUFF_COLORS]}

    def __init__(
        self,
        data_root: str = 'data/shapes',
        variant: str = 'standard',
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        num_images: int = 800,
        **kwargs,
    ) -> None:
        _refuse_files(kwargs)
        folder = _find_or_make(SHAPES_SEMANTIC, data_root, variant, size, seed, num_images)
        prefix = {'img_path': 'images', 'seg_map_path': 'annotations'}
        super().__init__(data_root=os.fspath(folder), data_prefix=prefix, img_suffix='.png', seg_map_suffix='.png', **kwargs)


def _refuse_files(kwargs: dict) -> None:
    names = [name for name in ('ann_file', 'image_file', 'data_prefix') if kwargs.pop(name, None)]
    if names:
        raise ValueError(f'Shapes finds its own files by data_root, variant, size, seed and num_images: leave out {names}.')


def _find_or_make(files: FileSet, data_root: str, variant: str, size: tuple[int, int], seed: int, num_images: int) -> Path:
    folder = files.folder(data_root, variant, size, seed, num_images)
    if not folder.exists():
        print_log(f'Making {num_images} Shapes scenes in {folder}, once.', logger='current', level=logging.INFO)
    return files.make(data_root, variant, size, seed, num_images)
