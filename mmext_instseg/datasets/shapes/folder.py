"""Files about the scenes of a series on disk: in folders named by what they hold, made once, whole or not at all."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .scene import VERSION, SceneSpec
from .writers import WRITERS

MANIFEST = 'manifest.json'


@dataclass(frozen=True)
class FileSet:
    """A kind of files about the scenes of a series. Each has a folder of its own and needs no other.

    Attributes:
        extra (dict[str, str]): What makes it another kind than the data set itself: {'depth': 'v1'}, the version of these files. It stands
            in the manifest, and its key at the end of the folder's name.
        images (dict[str, str]): Subfolders with a file a scene, and the suffix of these.
        jsons (tuple[str, ...]): Files that must not change.
        write (Callable): (folder, spec, indices) writes all but the manifest.
    """

    extra: dict[str, str]
    images: dict[str, str]
    jsons: tuple[str, ...]
    write: Callable[[Path, SceneSpec, Iterable[int]], None]

    def folder(
        self,
        data_root: str | os.PathLike = 'data/shapes',
        variant: str = 'standard',
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        num_images: int = 800,
    ) -> Path:
        """Where the files of a series lie, made or not: e.g. data/shapes/v1_standard_128x128_seed0_n800, or ..._n800_depth.

        Args:
            data_root (str | os.PathLike): Folder of all Shapes data sets.
            variant (str): 'standard', 'hard' or 'nested'; see `SceneSpec`.
            size (tuple[int, int]): (height, width) in pixels.
            seed (int): Seed of the series.
            num_images (int): Scenes 0..num_images-1 of the series: a shorter set is the start of a longer one.

        Raises:
            ValueError: A value is out of its range.
        """
        spec = SceneSpec(variant, size, seed)
        check_count(num_images)
        height, width = spec.size
        name = f'{VERSION}_{spec.variant}_{height}x{width}_seed{spec.seed}_n{num_images}'
        return Path(data_root) / '_'.join([name, *self.extra])

    def make(
        self,
        data_root: str | os.PathLike = 'data/shapes',
        variant: str = 'standard',
        size: tuple[int, int] = (128, 128),
        seed: int = 0,
        num_images: int = 800,
        track: Callable[[range], Iterable[int]] | None = None,
    ) -> Path:
        """Makes the files unless they are there, and returns their folder. Arguments as `folder`.

        They are written beside their final place and moved there in one step, so several processes may ask at once: the first to
        finish wins, and nobody sees half of them.

        Args:
            track (Callable | None): Wraps the range of indices while scenes are made, to show progress.

        Raises:
            RuntimeError: A folder of that name is there but doesn't hold these files, or not all.
        """
        spec, folder = SceneSpec(variant, size, seed), self.folder(data_root, variant, size, seed, num_images)
        manifest = describe(spec, num_images) | self.extra

        def write(building: Path) -> None:
            self.write(building, spec, (track or iter)(range(num_images)))
            checksums = {'sha256': {name: _digest(building / name) for name in self.jsons}} if self.jsons else {}
            (building / MANIFEST).write_text(json.dumps(manifest | checksums, indent=2))

        if folder.exists() or not _move_in(folder, write):
            self._check(folder, manifest)
        return folder

    def _check(self, folder: Path, expected: dict) -> None:
        try:
            manifest = dict(json.loads((folder / MANIFEST).read_text()))
        except (OSError, TypeError, ValueError):
            _refuse(folder, f'{MANIFEST} is missing or unreadable')
        for key, value in expected.items():
            if manifest.get(key) != value:
                _refuse(folder, f'{MANIFEST} says {key} {manifest.get(key)!r} instead of {value!r}')
        for name in self.jsons:
            if not (folder / name).is_file() or _digest(folder / name) != manifest.get('sha256', {}).get(name):
                _refuse(folder, f'{name} is missing or was changed')
        for name, suffix in self.images.items():
            count = len(list((folder / name).glob(f'*{suffix}')))
            if count != expected['num_images']:
                _refuse(folder, f'{name}/ holds {count} {suffix[1:].upper()} files instead of {expected["num_images"]}')


def _write(folder: Path, spec: SceneSpec, indices: Iterable[int]) -> None:
    writers = [writer(folder) for writer in WRITERS]
    for index in indices:
        scene, image_id = spec.scene(index), index + 1
        for writer in writers:
            writer.add(image_id, f'{image_id:012d}.png', scene)
    for writer in writers:
        writer.finish()


#: images/, instances.json (COCO), panoptic.json and panoptic/ (COCO panoptic); a config's `CocoMetric(ann_file=...)` names the first JSON.
SHAPES = FileSet({}, {'images': '.png', 'panoptic': '.png'}, ('instances.json', 'panoptic.json'), _write)
shapes_folder, make_shapes = SHAPES.folder, SHAPES.make


def check_count(num_images: int) -> None:
    """Raises ValueError unless there can be so many scenes."""
    if not isinstance(num_images, int) or num_images < 1:
        raise ValueError(f'Shapes: num_images must be a whole number of at least 1, not {num_images!r}.')


def describe(spec: SceneSpec, num_images: int) -> dict:
    """What a manifest says of a series."""
    return {'version': VERSION, 'variant': spec.variant, 'size': list(spec.size), 'seed': spec.seed, 'num_images': num_images}


def _move_in(folder: Path, write: Callable[[Path], None]) -> bool:
    """Has `write` fill a folder beside `folder` and moves it there in one step; False if another process was faster."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    building = folder.parent / f'.{folder.name}.{uuid.uuid4().hex}'
    building.mkdir()
    try:
        write(building)
        try:
            os.replace(building, folder)
        except OSError:
            if not folder.is_dir():
                raise
            return False
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return True


def _refuse(folder: Path, what: str) -> NoReturn:
    raise RuntimeError(f'{folder} is not a whole Shapes data set: {what}. Move or delete that folder and it will be made again.')


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
