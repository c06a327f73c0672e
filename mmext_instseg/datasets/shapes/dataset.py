"""The Shapes data as an mmdet data set."""

import logging
import os

from mmdet.datasets import CocoDataset
from mmengine.logging import print_log

from mmext_instseg.registry import DATASETS

from .folder import make_shapes, shapes_folder
from .scene import THINGS


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
        'palette': [(230, 60, 90), (60, 140, 230), (60, 200, 100), (235, 225, 60), (160, 70, 230)],
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
        names = [name for name in ('ann_file', 'data_prefix') if kwargs.pop(name, None)]
        if names:
            raise ValueError(f'ShapesDataset finds its own files by data_root, variant, size, seed and num_images: leave out {names}.')
        folder = shapes_folder(data_root, variant, size, seed, num_images)
        if not folder.exists():
            print_log(f'Making {num_images} Shapes scenes in {folder}, once.', logger='current', level=logging.INFO)
        make_shapes(data_root, variant, size, seed, num_images)
        super().__init__(data_root=os.fspath(folder), ann_file='instances.json', data_prefix={'img': 'images/'}, **kwargs)
