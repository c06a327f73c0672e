"""LVIS as phrases."""

import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ...registry import DATASETS
from ..validation import read_coco
from .names import CategoryPhrases
from .phrase_dataset import PhraseDataset, PhraseImage, make_instance, need

Categories = dict[Any, CategoryPhrases]


@DATASETS.register_module()
class LVISPhraseDataset(PhraseDataset):
    """LVIS v1 or v0.5 as published, an image's category being what is asked for (instance_clipseg, experimental conditions).

        dict(type='LVISPhraseDataset', data_root='data/coco/', ann_file='annotations/lvis_v1_train.json', data_prefix=dict(img=''), ...)

    Phrases come from `name` and `synonyms` ('bus_(vehicle)': 'bus'). One that two categories of an image share is left to neither, and
    where a category has no other, its qualifier stays ('mouse (computer equipment)'); without one it isn't asked for. Negative
    phrases come from `neg_category_ids`: in training each name or synonym, equally likely, in testing one a category; none that
    something in the image goes by.

    `not_exhaustive_category_ids` (ours): in training everything but the annotated instances is ignored for such a category; in testing
    it isn't asked for, since nobody knows the union of its instances.

    An image lies where `coco_url` says below `data_prefix['img']`, as 'train2017/000000391895.jpg' (so v0.5 needs COCO 2017 too), or
    where `file_name` says if there is no URL.

    Args:
        **kwargs: as `PhraseDataset`.

    Raises:
        ValueError: as `read_coco`; a record without a key that LVIS has, or with the id of an unknown category or image. Names file and id.
    """

    def read_images(self) -> Iterator[PhraseImage]:
        """See `PhraseImage`."""
        path = self.ann_file
        data = read_coco(path)
        categories = {}
        for record in data['categories']:
            number = need(record, 'id', f'{path}: category {record.get("name")!r}')
            names = [need(record, 'name', f'{path}: category {number!r}'), *record.get('synonyms', ())]
            if not all(isinstance(name, str) and name.strip() for name in names):
                raise ValueError(f'{path}: category {number!r} has the names {names!r}; give it a name, and synonyms that are texts')
            categories[number] = CategoryPhrases.from_names(names)
        annotations: dict[Any, list[dict]] = {need(image, 'id', f'{path}: an image'): [] for image in data['images']}
        for record in data['annotations']:
            name = f'{path}: annotation {record.get("id")!r}'
            image, category = need(record, 'image_id', name), need(record, 'category_id', name)
            for key, value, known in (('image_id', image, annotations), ('category_id', category, categories)):
                if value not in known:
                    raise ValueError(f'{name}: unknown {key} {value!r}; add the record or remove the annotation')
            annotations[image].append(record)
        for image in data['images']:
            yield self._read_image(image, annotations[image['id']], categories)

    def _read_image(self, image: dict, annotations: list[dict], categories: Categories) -> PhraseImage:
        name = f'{self.ann_file}: image {image["id"]!r}'
        height, width = need(image, 'height', name), need(image, 'width', name)
        info = {'img_id': image['id'], 'img_path': self._image_path(image, name), 'height': height, 'width': width}
        found: dict[Any, list[dict]] = defaultdict(list)
        for record in annotations:
            which = f'{self.ann_file}: annotation {record.get("id")!r}'
            box, mask = need(record, 'bbox', which), need(record, 'segmentation', which)
            one = make_instance(box, mask, height, width, bool(record.get('iscrowd', 0)))
            found[record['category_id']] += [one] if one and record.get('area', 1) > 0 and not record.get('ignore') else []
        partial = _known_ids(image, 'not_exhaustive_category_ids', categories, name)
        absent = [one for one in _known_ids(image, 'neg_category_ids', categories, name) if one not in found]
        positives = self._positives(found, set(partial), categories, (height, width))
        return PhraseImage(info, positives, self._negatives(found, absent, categories))

    def _positives(self, found: dict[Any, list[dict]], partial: set, categories: Categories, shape: tuple[int, int]) -> list:
        height, width = shape
        positives = []
        for category in sorted(found):
            instances, phrases = found[category], categories[category]
            if not any(not one['ignore_flag'] for one in instances) or (self.test_mode and category in partial):
                continue
            if category in partial:
                frame = [0, 0, width, 0, width, height, 0, height]
                instances = [*instances, {'bbox': [0, 0, width, height], 'bbox_label': 0, 'ignore_flag': 1, 'mask': [frame]}]
            taken = {phrase for other in found if other != category for phrase in categories[other].cleaned}
            if own := phrases.other_than(taken):
                positives.append((own, instances))
        return positives

    def _negatives(self, found: dict[Any, list[dict]], absent: list, categories: Categories) -> tuple[str, ...]:
        taken = {phrase for category in found for phrase in categories[category].cleaned}
        free = (categories[category].other_than(taken) for category in absent)
        return tuple(dict.fromkeys(phrase for phrases in free for phrase in (phrases[:1] if self.test_mode else phrases)))

    def _image_path(self, image: dict, name: str) -> str:
        url = image.get('coco_url')
        place = re.sub(r'^https?://images\.cocodataset\.org/', '', url) if url else need(image, 'file_name', name)
        return str(Path(self.data_prefix.get('img') or '', place))


def _known_ids(image: dict, key: str, categories: Categories, name: str) -> list:
    if unknown := [one for one in need(image, key, name) if one not in categories]:
        raise ValueError(f'{name}: {key} has the unknown category {unknown[0]!r}; add the category or remove its id')
    return image[key]
