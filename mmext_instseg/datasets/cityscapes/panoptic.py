"""Cityscapes' panoptic annotations, as cityscapesscripts' createPanopticImgs writes them, in mmdet."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mmdet.datasets import CocoPanopticDataset
from mmengine.fileio import LocalBackend, register_backend

from ...registry import DATASETS
from ..validation import read_coco
from .labels import ID_OF, STUFF, STUFF_NAMES, THING_NAMES, THINGS

_IMAGE, _PNG = '_leftImg8bit.png', '_gtFine_panoptic.png'


def panoptic_stem(file_name: str) -> str:
    """'aachen_000000_000019' of its image's name, with or without folders and with or without the '_gtFine' that some versions
    of createPanopticImgs leave in.

    Raises:
        ValueError: not the name of a Cityscapes image.
    """
    name = Path(file_name).name
    stem = name.removesuffix(_IMAGE).removesuffix('_gtFine')
    if stem == name or stem.count('_') < 2:
        raise ValueError(f"{file_name!r} is not the name of a Cityscapes image, '<city>_<sequence>_<frame>{_IMAGE}'; rename it")
    return stem


def read_panoptic(path: str | Path) -> dict:
    """Reads cityscapes_panoptic_<split>.json for mmdet, which numbers classes in the file's order and images by name.

    Returns:
        The file's content with the categories in our order (things, then stuff) and each image's file_name '<stem>_leftImg8bit.png'.

    Raises:
        ValueError: not a COCO file; other categories or ids than Cityscapes' label ids (as `--use-train-id` writes them); names of
            images or PNGs that aren't Cityscapes'. Names the file.
    """
    data = read_coco(path)
    given = {category.get('name'): category for category in data['categories']}
    ids = {name: category.get('id') for name, category in given.items()}
    if ids != ID_OF:
        name = next(name for name in (*ID_OF, *ids) if ids.get(name) != ID_OF.get(name))
        raise ValueError(
            f'{path}: category {name!r} has id {ids.get(name)}, in Cityscapes {ID_OF.get(name)}; write the file anew with '
            "cityscapesscripts' createPanopticImgs, without --use-train-id"
        )
    try:
        images = [{**image, 'file_name': panoptic_stem(image['file_name']) + _IMAGE} for image in data['images']]
        stems = {image['id']: panoptic_stem(image['file_name']) for image in images}
        for annotation in data['annotations']:
            if annotation['file_name'] != stems[annotation['image_id']] + _PNG:
                raise ValueError(f'{annotation["file_name"]!r} belongs to image {annotation["image_id"]!r}; call it <stem>{_PNG}')
    except (KeyError, ValueError) as error:
        problem = f'no {error} in an image or annotation' if isinstance(error, KeyError) else error
        raise ValueError(f'{path}: {problem}') from None
    return {**data, 'images': images, 'categories': [given[label.name] for label in (*THINGS, *STUFF)]}


@register_backend('cityscapes_panoptic')
class CityscapesPanopticBackend(LocalBackend):
    """Local files for mmdet's `CocoPanopticMetric(backend_args=dict(backend='cityscapes_panoptic'))`.

    The metric looks for the truth of an image under the image's own name, and numbers classes in the order of the JSON, which has
    stuff first. This backend gives it the PNG '<stem>_gtFine_panoptic.png' for '<stem>_leftImg8bit.png', and the JSON as
    `read_panoptic` does, so that the published files serve as they are. Without it the metric stops at a missing file.
    """

    def get(self, filepath: str | Path) -> bytes:
        """Content of a file; for an image's name, that of its panoptic PNG in the same folder."""
        path = Path(filepath)
        return super().get(path.with_name(panoptic_stem(path.name) + _PNG) if path.name.endswith(_IMAGE) else path)

    @contextmanager
    def get_local_path(self, filepath: str | Path) -> Iterator[str]:
        """A temporary copy of the JSON as `read_panoptic` gives it."""
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, Path(filepath).name)
            copy.write_text(json.dumps(read_panoptic(filepath)), encoding='utf-8')
            yield str(copy)


@DATASETS.register_module()
class CityscapesPanopticDataset(CocoPanopticDataset):
    """Cityscapes with things and stuff, from the official panoptic JSON and PNGs.

    The labels are 0..7, the things in the order of mmdet's `CityscapesDataset`, and 8..18, the stuff in the order of the train ids.
    The void of the PNGs is 255 in `gt_seg_map`. Crowds (groups) are ignored with `GenerateInstanceMap(num_things=8)`.
    Evaluate with `CocoPanopticMetric(ann_file=..., seg_prefix=..., backend_args=dict(backend='cityscapes_panoptic'))`.

        dataset = dict(
            type='CityscapesPanopticDataset',
            data_root='data/cityscapes/',
            ann_file='gtFine/cityscapes_panoptic_val.json',
            data_prefix=dict(img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/'),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPanopticAnnotations'), ...],
        )

    Args:
        *args, **kwargs: as `CocoPanopticDataset`. The classes are fixed.
        backend_args: None; the files are local.

    Raises:
        ValueError: as `read_panoptic`; other classes in `metainfo`; a missing PNG; `backend_args`.
    """

    METAINFO = dict(
        classes=(*THING_NAMES, *STUFF_NAMES),
        thing_classes=THING_NAMES,
        stuff_classes=STUFF_NAMES,
        palette=[label.color for label in (*THINGS, *STUFF)],
    )

    def __init__(self, *args, backend_args: dict | None = None, **kwargs) -> None:
        if backend_args:
            raise ValueError(f'CityscapesPanopticDataset reads local files: leave out backend_args={backend_args}')
        super().__init__(*args, backend_args=dict(backend='cityscapes_panoptic'), **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict an image, as `CocoPanopticDataset` gives it."""
        if tuple(self.metainfo['classes']) != self.METAINFO['classes']:
            raise ValueError(
                'CityscapesPanopticDataset has the 19 classes of Cityscapes, things first: leave classes out of metainfo '
                f'(got {len(self.metainfo["classes"])})'
            )
        data = super().load_data_list()
        for path in (info['seg_map_path'] for info in data):
            if path is not None and not Path(path).is_file():
                raise ValueError(f"{path}: not there; set data_prefix['seg'], or write the PNGs with cityscapesscripts' createPanopticImgs")
        return data

    def parse_data_info(self, raw_data_info: dict) -> dict:
        """As mmdet's, with the images in a folder for each city and the PNGs by their own names."""
        info = super().parse_data_info(raw_data_info)
        name = raw_data_info['raw_img_info']['file_name']
        stem = panoptic_stem(name)
        info['img_path'] = str(Path(self.data_prefix['img'], stem.rsplit('_', 2)[0], name))
        if info['seg_map_path'] is not None:
            info['seg_map_path'] = str(Path(self.data_prefix['seg'], stem + _PNG))
        return info
