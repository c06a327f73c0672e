"""How much of the ground truth a codec keeps: AP and PQ of decode(encode(truth)), and where the rest is lost.

Shapes: (H, W) size of an image, K instances.
"""

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from ...codecs import BaseCodec
from ...compat.panopticapi.evaluation import PQStat, count_pair
from ...ops import largest_share, majority_label, sample_bilinear, sample_ids
from ...structures import InstanceMap, to_rle
from .truth import TrueImage

GROUPS: dict[str, Callable[[dict], bool]] = {
    'apart': lambda one: not one['touches'],
    'touching': lambda one: one['touches'],
    '1-5': lambda one: one['number'] <= 5,
    '6-10': lambda one: 5 < one['number'] <= 10,
    '11-20': lambda one: 10 < one['number'] <= 20,
    'over 20': lambda one: one['number'] > 20,
}
SIZES = ('all', 'S', 'M', 'L')


@dataclass
class Setting:
    """What is measured: maps at a stride, through a codec or through resampling alone (None)."""

    stride: int
    codec: BaseCodec | None
    detections: list[dict] = field(default_factory=list)
    pq: PQStat = field(default_factory=PQStat)


class RepresentationCeiling:
    """Collects images, then scores.

    Args:
        categories: id -> category, as in the annotation file.
        settings: what is measured.
    """

    def __init__(self, categories: dict[int, dict], settings: Sequence[Setting]) -> None:
        self.categories = categories
        self.settings = settings
        self.images: list[dict] = []
        self.annotations: list[dict] = []
        self.is_panoptic = False

    def add(self, truth: TrueImage) -> None:
        """Encodes and decodes an image in every setting."""
        image = dict(id=truth.image_id, height=truth.instances.shape[0], width=truth.instances.shape[1])
        self.images.append(image)
        touches = [False, *touching(truth.instances).tolist()]
        number = sum(not one['iscrowd'] for one in truth.annotations)
        of_row = [dict(touches=flag, number=number) for flag in touches]
        self.annotations += [{**one, **of_row[one['row']]} for one in truth.annotations]
        for setting in self.settings:
            found = reconstruct(truth.instances, setting)
            classified, home = classify(found, truth.instances)
            for row, rle, label, score in zip(
                home.tolist(), to_rle(found), classified.labels.tolist(), _scores(found).tolist(), strict=True
            ):
                one = dict(image_id=truth.image_id, category_id=label, segmentation=rle, score=score, row=row, iscrowd=0)
                setting.detections.append({**one, **of_row[row]})
            if truth.panoptic is not None:
                self.is_panoptic = True
                count_pair(setting.pq, truth.panoptic, panoptic(truth, classified, setting.stride), self.categories)

    def numbers(self) -> dict[str, int]:
        """True instances by column of `scores`; sizes as COCO has them."""
        things = [one for one in self.annotations if not one['iscrowd']]
        sizes = np.digitize([one['area'] for one in things], (32**2, 96**2))
        counts = {'AP': len(things), **{name: int((sizes == index).sum()) for index, name in enumerate(SIZES[1:])}}
        return {**counts, **{name: sum(map(belongs, things)) for name, belongs in GROUPS.items()}}

    def scores(self, setting: Setting) -> dict[str, float]:
        """In [0, 1], NaN where there is nothing to find.

        AP, AP50 and AP of small, medium and large objects as in COCO, of masks, over the classes; 'agnostic': AP without classes;
        then AP of the true instances of a group (`GROUPS`) and the detections that belong to them: those that share most pixels
        with one of them, or none with any. PQ, and of things and stuff alone, for panoptic truth.
        """
        every = self._ap(setting.detections, self.annotations)
        result = {'AP': every['all'], 'AP50': every['50'], 'agnostic': self._ap(setting.detections, self.annotations, classes=False)['all']}
        result |= {size: every[size] for size in SIZES[1:]}
        for name, belongs in GROUPS.items():
            truth = [one for one in self.annotations if one['iscrowd'] or belongs(one)]
            found = [one for one in setting.detections if belongs(one) or (not one['row'] and name in ('apart', 'touching'))]
            result[name] = self._ap(found, truth)['all']
        if self.is_panoptic:
            for name, isthing in (('PQ', None), ('PQ things', True), ('PQ stuff', False)):
                result[name] = setting.pq.pq_average(self.categories, isthing)[0]['pq']
        return result

    def _ap(self, found: list[dict], truth: list[dict], classes: bool = True) -> dict[str, float]:
        categories = sorted({one['category_id'] for one in truth if not one['iscrowd']})
        if not categories:
            return dict.fromkeys((*SIZES, '50'), float('nan'))
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = COCOeval(self._index(truth), self._index(found), 'segm')
            evaluation.params.catIds = categories
            evaluation.params.useCats = int(classes)
            evaluation.params.maxDets = [len(found) + 1]  # nothing is cut off
            evaluation.evaluate()
            evaluation.accumulate()
        precision = evaluation.eval['precision'][..., -1]  # (thresholds, recalls, classes, sizes), -1 where there is no truth
        result = {size: _mean(precision[..., index]) for index, size in enumerate(SIZES)}
        return {**result, '50': _mean(precision[0, ..., 0])}

    def _index(self, annotations: list[dict]) -> COCO:
        coco = COCO()
        numbered = [dict(one, id=number, area=one.get('area', 0) or _area(one)) for number, one in enumerate(annotations, 1)]
        coco.dataset = dict(images=self.images, annotations=numbered, categories=list(self.categories.values()))
        coco.createIndex()
        return coco


def at_stride(instances: InstanceMap, stride: int) -> tuple[InstanceMap, tuple[float, float]]:
    """Instances at the size of a map, one pixel for stride x stride of the image, which is padded to a multiple of the stride.

    Returns:
        the small map, and how much of its height and width the image takes.
    """
    rows, cols = (-(-side // stride) for side in instances.shape)
    part = instances.shape[0] / (rows * stride), instances.shape[1] / (cols * stride)
    return instances.pad((rows * stride, cols * stride)).resize((rows, cols)), part


def reconstruct(truth: InstanceMap, setting: Setting) -> InstanceMap:
    """decode(encode(truth)) of maps at a stride, brought back to the size of the image as the detector does.

    The foreground is the truth's at the map's size.
    """
    small, part = at_stride(truth, setting.stride)
    decoded = small
    if setting.codec is not None:
        maps, _ = setting.codec.encode(small)
        batch = {name: value[None] for name, value in maps.items()}
        (decoded,) = setting.codec.decode(batch, (small.ids > 0)[None], [small.extent or small.shape])
    foreground = sample_bilinear((small.ids > 0).float(), truth.shape, part) > 0.5
    return decoded.enlarge(truth.shape, part, foreground).compact()


def classify(found: InstanceMap, truth: InstanceMap) -> tuple[InstanceMap, Tensor]:
    """Gives each instance the category that most of its true pixels have.

    Returns:
        `found` with category ids as labels, and the row 1..K of `truth` that each shares most pixels with, 0 where it meets none.
    """
    label_map = truth.label_map(background=-1, ignore=-1)
    labels, _ = majority_label(found.ids, label_map, len(found), max(truth.labels.tolist(), default=0) + 1)
    return replace(found, labels=labels), largest_share(found.ids, truth.ids, len(found), len(truth))


def panoptic(truth: TrueImage, things: InstanceMap, stride: int) -> tuple[dict, np.ndarray]:
    """JSON entry and id map (H, W) int64 of decoded things over the true stuff at a stride.

    Args:
        truth: of a panoptic file.
        things: labelled with category ids.
    """
    assert truth.stuff is not None
    small, part = at_stride(truth.stuff, stride)
    behind = sample_ids(small.ids, things.shape, part)
    result = torch.where(things.ids > 0, things.ids, torch.where(behind > 0, behind + len(things), 0)).long().numpy()
    categories = [*things.labels.tolist(), *truth.stuff.labels.tolist()]
    seen = set(np.unique(result).tolist())
    segments = [dict(id=number, category_id=category) for number, category in enumerate(categories, 1) if number in seen]
    return dict(image_id=truth.image_id, segments_info=segments), result


def touching(instances: InstanceMap) -> Tensor:
    """(K,) bool: which instances have a pixel above, below or beside one of another instance."""
    flags = torch.zeros(len(instances) + 1, dtype=torch.bool)
    for first, second in ((instances.ids[1:], instances.ids[:-1]), (instances.ids[:, 1:], instances.ids[:, :-1])):
        meets = (first != second) & (first > 0) & (second > 0)
        flags[first[meets].long()] = True
        flags[second[meets].long()] = True
    return flags[1:]


def _scores(found: InstanceMap) -> Tensor:
    return found.scores if found.scores is not None else torch.ones(len(found))


def _area(one: dict) -> int:
    return int(coco_mask.area(one['segmentation']))


def _mean(precision: np.ndarray) -> float:
    known = precision[precision >= 0]
    return float(known.mean()) if known.size else float('nan')
