"""A Shapes data set on disk: named by what it holds, made once, whole or not at all."""

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NoReturn

from .scene import VERSION, SceneSpec
from .writers import WRITERS

MANIFEST = 'manifest.json'
_JSONS = ('instances.json', 'panoptic.json')
_IMAGE_FOLDERS = ('images', 'panoptic')


def shapes_folder(
    data_root: str | os.PathLike = 'data/shapes',
    variant: str = 'standard',
    size: tuple[int, int] = (128, 128),
    seed: int = 0,
    num_images: int = 800,
) -> Path:
    """Where a data set lies, made or not: e.g. data/shapes/v1_standard_128x128_seed0_n800.

    Its files are images/, instances.json (COCO), panoptic.json and panoptic/ (COCO panoptic), and manifest.json. A config's
    `CocoMetric(ann_file=...)` names instances.json there.

    Args:
        data_root (str | os.PathLike): Folder of all Shapes data sets.
        variant (str): 'standard', 'hard' or 'nested'; see `SceneSpec`.
        size (tuple[int, int]): (height, width) in pixels.
        seed (int): Seed of the series.
        num_images (int): Scenes 0..num_images-1 of the series: a shorter set is the start of a longer one.

    Raises:
        ValueError: A value is out of its range.
    """
    return _folder(Path(data_root), SceneSpec(variant, size, seed), num_images)


def _folder(data_root: Path, spec: SceneSpec, num_images: int) -> Path:
    check_count(num_images)
    height, width = spec.size
    return data_root / f'{VERSION}_{spec.variant}_{height}x{width}_seed{spec.seed}_n{num_images}'


def check_count(num_images: int) -> None:
    """Raises ValueError unless there can be so many scenes."""
    if not isinstance(num_images, int) or num_images < 1:
        raise ValueError(f'Shapes: num_images must be a whole number of at least 1, not {num_images!r}.')


def make_shapes(
    data_root: str | os.PathLike = 'data/shapes',
    variant: str = 'standard',
    size: tuple[int, int] = (128, 128),
    seed: int = 0,
    num_images: int = 800,
    track: Callable[[range], Iterable[int]] | None = None,
) -> Path:
    """Makes a data set unless it is there, and returns its folder. Arguments as `shapes_folder`.

    The data are written beside their final place and moved there in one step, so several processes may ask at once: the first to
    finish wins, and nobody sees half a data set.

    Args:
        track (Callable | None): Wraps the range of indices while scenes are made, to show progress.

    Raises:
        RuntimeError: A folder of that name is there but isn't this data set, or isn't whole.
    """
    spec = SceneSpec(variant, size, seed)
    folder = _folder(Path(data_root), spec, num_images)
    if folder.exists():
        check_shapes(folder, spec, num_images)
        return folder
    if not move_in(folder, lambda building: _write(building, spec, num_images, track or (lambda indices: indices))):
        check_shapes(folder, spec, num_images)
    return folder


def move_in(folder: Path, write: Callable[[Path], None]) -> bool:
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


def _write(folder: Path, spec: SceneSpec, num_images: int, track: Callable[[range], Iterable[int]]) -> None:
    writers = [writer(folder) for writer in WRITERS]
    for index in track(range(num_images)):
        scene, image_id = spec.scene(index), index + 1
        for writer in writers:
            writer.add(image_id, f'{image_id:012d}.png', scene)
    for writer in writers:
        writer.finish()
    manifest = describe(spec, num_images) | digests(folder, _JSONS)
    (folder / MANIFEST).write_text(json.dumps(manifest, indent=2))


def check_shapes(folder: Path, spec: SceneSpec, num_images: int) -> None:
    """Checks that a folder holds this data set, whole: its manifest, its annotation files' checksums, its number of PNGs.

    Raises:
        RuntimeError: It doesn't.
    """
    check_digests(folder, check_manifest(folder, describe(spec, num_images)), _JSONS)
    for name in _IMAGE_FOLDERS:
        check_files(folder, name, '.png', num_images)


def check_manifest(folder: Path, expected: dict) -> dict:
    """The manifest; raises RuntimeError unless it says what is expected."""
    try:
        manifest = dict(json.loads((folder / MANIFEST).read_text()))
    except (OSError, TypeError, ValueError):
        refuse(folder, f'{MANIFEST} is missing or unreadable')
    for key, value in expected.items():
        if manifest.get(key) != value:
            refuse(folder, f'{MANIFEST} says {key} {manifest.get(key)!r} instead of {value!r}')
    return manifest


def digests(folder: Path, names: Iterable[str]) -> dict[str, dict[str, str]]:
    """What a manifest says of files that must not change."""
    return {'sha256': {name: _digest(folder / name) for name in names}}


def check_digests(folder: Path, manifest: dict, names: Iterable[str]) -> None:
    """Raises RuntimeError unless these files are as the manifest says."""
    for name in names:
        if not (folder / name).is_file() or _digest(folder / name) != manifest.get('sha256', {}).get(name):
            refuse(folder, f'{name} is missing or was changed')


def check_files(folder: Path, name: str, suffix: str, num_images: int) -> None:
    """Raises RuntimeError unless a subfolder holds so many images."""
    count = len(list((folder / name).glob(f'*{suffix}')))
    if count != num_images:
        refuse(folder, f'{name}/ holds {count} {suffix[1:].upper()} files instead of {num_images}')


def refuse(folder: Path, what: str) -> NoReturn:
    raise RuntimeError(f'{folder} is not a whole Shapes data set: {what}. Move or delete that folder and it will be made again.')


def describe(spec: SceneSpec, num_images: int) -> dict:
    """What a manifest says of a series."""
    return {'version': VERSION, 'variant': spec.variant, 'size': list(spec.size), 'seed': spec.seed, 'num_images': num_images}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
