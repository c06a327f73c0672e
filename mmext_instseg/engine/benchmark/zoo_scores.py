"""AP and PQ of the detectors in a race of the zoo."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mmdet.evaluation import CocoMetric, CocoPanopticMetric

if TYPE_CHECKING:
    from .zoo import Racer

#: Columns: key of mmdet's metric, and what makes it percent.
_SCORES = {'AP': ('coco/segm_mAP', 100), 'AP50': ('coco/segm_mAP_50', 100), 'PQ': ('coco_panoptic/PQ', 1)}


@dataclass
class Truth:
    """Annotations of the images, for scores. `coco`: file of instances; `panoptic`: file, its PNGs in a folder of the same name."""

    coco: Path | None = None
    panoptic: Path | None = None

    def image_ids(self) -> dict[str, int]:
        """Ids by file name, without folders and ending.

        Raises:
            ValueError: an image has two ids.
        """
        ids: dict[str, int] = {}
        for path in filter(None, (self.coco, self.panoptic)):
            for image in json.loads(path.read_text())['images']:
                stem = Path(image['file_name']).stem
                if ids.setdefault(stem, image['id']) != image['id']:
                    raise ValueError(
                        f'{path}: image {image["file_name"]} has id {image["id"]}, but {ids[stem]} is that of another image or file; '
                        'images are found by their names, so each needs one of its own and the same id in both files'
                    )
        return ids

    def ids_of(self, images: Sequence[Path]) -> list[int]:
        """Ids of image files; their numbers where there are no annotations.

        Raises:
            ValueError: an image isn't annotated; as `image_ids`.
        """
        ids = self.image_ids()
        if not ids:
            return list(range(len(images)))
        if lacking := [path for path in images if path.stem not in ids]:
            raise ValueError(
                f'{lacking[0]} is not among the images of {self.coco or self.panoptic} ({len(lacking)} such): no scores without truth'
            )
        return [ids[path.stem] for path in images]


def score_all(racer: 'Racer', truth: Truth, track: Callable[[Iterable], Iterable] = iter) -> dict[str, float]:
    """Percent. What counts is the racer's images, nothing else of the truth; results are handed over one by one.

    Raises:
        ValueError: no class of the detector is one of the truth's.
    """
    meta, metrics = racer.classes(), []
    if truth.coco is not None:
        _check_classes(meta['classes'], truth.coco)
        metrics.append((CocoMetric(ann_file=str(truth.coco), metric='segm'), 'pred_instances'))
        metrics[0][0].img_ids = [number for _, number in racer.images]
    if truth.panoptic is not None:
        folder = str(truth.panoptic.with_suffix(''))
        metrics.append((CocoPanopticMetric(ann_file=str(truth.panoptic), seg_prefix=folder), 'pred_panoptic_seg'))
    for metric, _ in metrics:
        metric.dataset_meta = meta
    for path, number in track(racer.images) if metrics else ():
        sample = racer.predict(path, number)
        metrics = [(metric, key) for metric, key in metrics if key in sample]
        for metric, _ in metrics:
            metric.process({}, [sample.to_dict()])
    scores: dict[str, float] = {}
    for metric, _ in metrics:
        values = metric.evaluate(len(racer.images))
        scores |= {name: factor * values[key] for name, (key, factor) in _SCORES.items() if key in values}
    return scores


def _check_classes(classes: Sequence[str], path: Path) -> None:
    """Refuses what has no class in common: mmdet's metric looks for them by name."""
    names = [category['name'] for category in json.loads(path.read_text())['categories']]
    if not set(names) & set(classes):
        raise ValueError(f'none of its classes ({", ".join(classes[:5])}, ...) is one of {path} ({", ".join(names[:5])}, ...)')
