"""A folder of LabelMe JSON, as LabelMe 3, 4 and 5 write it; the files are only read."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..image_files import MAX_PIXELS
from .images import find_image, image_shape
from .objects import LabelMeObject, read_objects

Track = Callable[[Sequence[Path], str], Iterable[Path]]


@dataclass(frozen=True)
class Frame:
    """One image with its objects.

    Attributes:
        name: path of the JSON below the folder, with '/' and without '.json'.
        path: the JSON file.
        image: where the image is; see `find_image`.
        shape: (H, W).
        objects: in the order of the file.
        without_area: how many points, lines, ... were left out, by type.
        problems: a line for each shape that was left out because it has no pixel.
    """

    name: str
    path: Path
    image: str
    shape: tuple[int, int]
    objects: list[LabelMeObject]
    without_area: Counter
    problems: list[str]

    @property
    def id(self) -> int:
        """Image id, of 48 bits: a hash of the name, so the same in every split, in COCO files and after images were added."""
        return int.from_bytes(hashlib.blake2b(self.name.encode(), digest_size=6).digest(), 'big')


def find_labelme(folder: str | Path, names: Sequence[str] | None = None) -> list[Path]:
    """The JSON files of a folder and its subfolders in the order of their paths, or those that are named, in that order.

    Args:
        names: paths below the folder, with or without an ending ('frame_1', 'frame_1.json', 'frame_1.jpg').

    Raises:
        ValueError: no such folder or file, none there, or a name that comes twice.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f'{folder}: no such folder; correct data_root or data_prefix')
    if names is None:
        found = sorted(folder.rglob('*.json'))
        if not found:
            raise ValueError(f'{folder}: no *.json there; give the folder with the LabelMe files')
        return found
    found = [_named(folder, name) for name in names]
    if twice := [path for path, count in Counter(found).items() if count > 1]:
        raise ValueError(f'{twice[0]}: named {found.count(twice[0])} times in the list; name it once')
    return found


def _named(folder: Path, name: str) -> Path:
    if Path(name).is_absolute():
        raise ValueError(f'{name}: an absolute path in the list; give names below {folder}')
    for path in (folder / f'{name}.json', (folder / name).with_suffix('.json')):
        if path.is_file():
            return path
    raise ValueError(f'{folder / name}.json: no such file; annotate the image (empty if need be) or take {name!r} off the list')


def read_frames(
    folder: str | Path, names: Sequence[str] | None = None, images: str | Path | None = None, track: Track | None = None
) -> list[Frame]:
    """Reads LabelMe files and logs what they hold that can't be used.

    Args:
        folder, names: as `find_labelme`. In a whole folder, JSON files of other kinds (without 'shapes') are left out.
        images: folder of the images if they don't lie where `imagePath` says, nor beside the JSON.
        track: wraps the paths and a description, to show progress.

    Raises:
        ValueError: as `find_labelme`; a file that isn't JSON, or, if named, not LabelMe's; no image; a shape as `read_objects` refuses.
    """
    paths = find_labelme(folder, names)
    frames, others = [], []
    for path in track(paths, 'Reading') if track else paths:
        data = _read_json(path)
        if isinstance(data, dict) and isinstance(data.get('shapes'), list):
            frames.append(_read_frame(path, data, Path(folder), Path(images) if images else None))
        elif names is None:
            others.append(path)
        else:
            raise ValueError(f"{path}: not a LabelMe file, it has no list 'shapes'; take it off the list")
    if not frames:
        raise ValueError(f"{folder}: none of its {len(others)} JSON files is LabelMe's (a list 'shapes'); give the folder of LabelMe files")
    _log(folder, frames, others)
    return frames


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise ValueError(f'{path}: can not be read ({error.strerror}); correct its permissions') from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f'{path}: not a JSON file ({error}); restore it or save it anew in LabelMe') from None


def _read_frame(path: Path, data: dict, folder: Path, images: Path | None) -> Frame:
    image = find_image(path, data, images)
    shape = image_shape(data, image, path)
    if shape[0] * shape[1] > MAX_PIXELS:
        raise ValueError(f'{path}: {shape[0]} x {shape[1]} pixels are over the limit of {MAX_PIXELS:,}; cut the image into tiles')
    name = path.relative_to(folder).with_suffix('').as_posix()
    return Frame(name, path, image, shape, *read_objects(data['shapes'], shape, path))


def _log(folder: str | Path, frames: list[Frame], others: list[Path]) -> None:
    if others:
        print_log(f"{folder}: left out {len(others)} JSON files without 'shapes', such as {others[0].name}", 'current')
    kinds = sum((frame.without_area for frame in frames), Counter())
    if kinds:
        counts = ', '.join(f'{count} {kind}' for kind, count in kinds.most_common())
        print_log(f'{folder}: left out shapes without area: {counts}', 'current')
    problems = [line for frame in frames for line in frame.problems]
    if problems:
        lines = [f'  {line}' for line in problems[:10]] + ['  ...'] * (len(problems) > 10)
        print_log('\n'.join([f'{folder}: left out {len(problems)} shapes without a pixel:', *lines]), 'current', 30)
