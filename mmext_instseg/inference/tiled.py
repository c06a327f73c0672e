"""Images of any size, through any instance segmentation model of mmdet, tile by tile."""

import copy
from collections.abc import Iterator
from pathlib import Path

import cv2
import mmcv
import numpy as np
import torch
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.device import get_device
from rich.console import Console
from rich.progress import track

from ..structures import InstanceMap, from_pred_instances
from .stitching import TileGrid, stitch_tiles
from .weights import open_detector

_ANNOTATIONS = ('Load', 'CheckAnnotations', 'GenerateInstanceMap')  # how the names of steps begin that need them


class TiledInferencer:
    """A detector for images of thousands of pixels a side: cut into overlapping tiles, their instances stitched together.

    Each tile goes through the config's test pipeline and preprocessor as an image of its own, then `stitch_tiles` joins what seams cut.
    The overlap should exceed the largest object that the model can only recognise whole; longer ones are joined as well.

    The result is that of the whole image at once as far as the model looks at a tile and at the image alike. It doesn't

    - near a tile's border: convolutions see padding in place of the pixels beyond, up to half their receptive field inwards. Half of the
      overlap is cut off there, so local maps are equal where that half is at least half of the receptive field;
    - where a tile doesn't begin at a multiple of the network's largest stride (the last ones of a row and column, which are shifted
      inwards), or where the pipeline resizes;
    - where something depends on all of the image: attention, group norm, parameters adapted to the image, a limit of instances an image
      (here: a tile), and representations of an object's whole, such as its centroid, for objects longer than the overlap.

    Memory: H * W * 3 bytes for the image, 4 bytes * H * W * (1 + h / (h - overlap)) at most for results, what the model takes for
    `batch_size` tiles, and 8 bytes * h * w * (K + 1) for the K masks of a tile.

    Args:
        config: file or config of the model, with a test pipeline.
        checkpoint: file of its weights.
        tile: (h, w) in pixels; a smaller image is a tile as it is.
        overlap: pixels that neighbouring tiles share at least.
        batch_size: tiles at once.
        score_threshold: least score of an instance in a tile.
        agreement: how much of each other two pieces of an object must cover in an overlap to be joined, in [0.5, 1).
        device: None: a GPU if there is one.

    Raises:
        ValueError: a checkpoint that isn't a file, or of another model; a tile, overlap, batch size or agreement that can't be.
    """

    def __init__(
        self,
        config: str | Path | Config,
        checkpoint: str | Path,
        tile: tuple[int, int] = (512, 512),
        overlap: int = 128,
        batch_size: int = 1,
        score_threshold: float = 0.3,
        agreement: float = 0.5,
        device: str | None = None,
    ) -> None:
        TileGrid((1, 1), tile, overlap)
        if batch_size < 1 or not 0.5 <= agreement < 1:
            raise ValueError(f'batch_size={batch_size} must be at least 1, agreement={agreement} at least 0.5 and below 1')
        cfg = copy.deepcopy(config) if isinstance(config, Config) else Config.fromfile(config)
        self.model = open_detector(cfg, checkpoint, device or get_device())
        self.pipeline = array_pipeline(cfg)
        self.tile = tile
        self.overlap = overlap
        self.batch_size = batch_size
        self.score_threshold = score_threshold
        self.agreement = agreement

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""
        return tuple(self.model.dataset_meta['classes'])

    def __call__(self, image: str | Path | np.ndarray, progress: bool = True) -> InstanceMap:
        """Finds the instances of an image.

        Args:
            image: a file, or (H, W, 3) uint8 BGR as `read_image` gives it. Only tiles are cut from it by slices, so a memory-mapped array
                is never loaded as a whole.
            progress: shows a bar on the standard error.

        Returns:
            Scored and labelled instances of (H, W), on the CPU.

        Raises:
            ValueError: an image that can't be read or of another shape; a model without instance masks.
        """
        image = as_array(image)
        grid = TileGrid(tuple(image.shape[:2]), self.tile, self.overlap)
        return stitch_tiles(self._predict(image, grid, progress), grid, self.agreement)

    def _predict(self, image: np.ndarray, grid: TileGrid, progress: bool) -> Iterator[InstanceMap]:
        """Instances of one tile after the other; `batch_size` of them are alive."""
        boxes = grid.boxes()
        batches = [boxes[start : start + self.batch_size] for start in range(0, len(boxes), self.batch_size)]
        for batch in track(batches, f'{len(boxes)} tiles', console=Console(stderr=True), disable=not progress):
            yield from self.predict_tiles([np.ascontiguousarray(image[box]) for box in batch])

    @torch.no_grad()
    def predict_tiles(self, tiles: list[np.ndarray]) -> list[InstanceMap]:
        """Instances of each array (h, w, 3) on its own, on the CPU; where masks overlap, the higher score is on top."""
        packed = [self.pipeline(dict(img=tile, img_id=index)) for index, tile in enumerate(tiles)]
        samples = self.model.test_step(pseudo_collate(packed))
        return [self._instances(sample, tile.shape[:2]) for sample, tile in zip(samples, tiles, strict=True)]

    def _instances(self, sample, shape: tuple[int, int]) -> InstanceMap:
        pred = sample.get('pred_instances')
        if pred is None or 'masks' not in pred:
            raise ValueError(
                f'{self.model.cfg.filename or "config"}: a {type(self.model).__name__} gives no instance masks; '
                'take a config of an instance segmentation model, such as Mask R-CNN, SOLOv2 or BottomUpSegmentor'
            )
        return from_pred_instances(pred[pred.scores >= self.score_threshold], shape).cpu()


def array_pipeline(cfg: Config) -> Compose:
    """The test pipeline of a config for `dict(img=array, img_id=0)`: no file is read, no annotation needed."""
    steps = image_steps(cfg)
    steps[0]['type'] = 'mmdet.LoadImageFromNDArray'
    return Compose(steps)


def image_steps(cfg: Config) -> list[dict]:
    """The steps of a config's test pipeline that need no annotations, a copy; the first one loads the image."""
    load, *steps = copy.deepcopy(get_test_pipeline_cfg(cfg))
    return [load, *(step for step in steps if not step['type'].rsplit('.', 1)[-1].startswith(_ANNOTATIONS))]


def as_array(image: str | Path | np.ndarray) -> np.ndarray:
    """The image of a file, or the array itself.

    Raises:
        ValueError: as `read_image`; an array that isn't (H, W, 3) uint8.
    """
    image = read_image(image) if isinstance(image, str | Path) else image
    if len(image.shape) != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ValueError(f'an image is (H, W, 3) uint8, not {tuple(image.shape)} {image.dtype}')
    return image


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR, as mmdet loads images: up to 2^30 pixels (OpenCV's limit), turned as EXIF says.

    Raises:
        ValueError: not a file, or not an image that OpenCV can decode; names it.
    """
    if not Path(path).is_file():
        raise ValueError(f'{path} is not a file')
    try:
        image = mmcv.imread(path)
    except cv2.error as error:
        raise ValueError(f'{path}: OpenCV can not decode it ({error.err}); restore the file or convert it to PNG, JPEG or TIFF') from error
    if image is None:
        raise ValueError(f'{path}: not an image, or cut off or damaged; restore the file or convert it to PNG, JPEG or TIFF')
    return image
