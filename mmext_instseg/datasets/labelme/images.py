"""The image of a LabelMe file: a file of its own, or text inside the JSON."""

import base64
import binascii
import json
from pathlib import Path, PureWindowsPath
from typing import Any

from mmengine.fileio import register_backend

from ..image_files import CheckedImageBackend, check_complete, image_size

PREFIX = 'labelme://'


def find_image(path: Path, data: dict, folder: Path | None = None) -> str:
    """Where the image of a LabelMe file is.

    Looked at in turn: `folder`, `imagePath` as it stands (with Windows' backslashes too), the same name beside the JSON, the JSON's own
    name with the image's ending, and last `imageData`.

    Args:
        path: the JSON file.
        data: its content.
        folder: where images lie if not with their JSON.

    Returns:
        a path, or labelme://<JSON file>/<image name> for an embedded image, which mmengine's file functions (`LoadImageFromFile`,
        visualisers) read through `LabelMeImageBackend`.

    Raises:
        ValueError: neither; names the JSON and the image.
    """
    told = data.get('imagePath')
    told = told if isinstance(told, str) else ''
    name = PureWindowsPath(told).name  # splits at both kinds of slash
    places = [path.parent / told.replace('\\', '/'), path.parent / name, path.with_suffix(PureWindowsPath(told).suffix)] if name else []
    if folder is not None and name:
        places = [folder / told.replace('\\', '/'), folder / name, *places]
    for place in places:
        if place.is_file() and place != path:
            return str(place)
    if data.get('imageData'):
        # Some files name themselves; visualisers need an image's ending.
        return f'{PREFIX}{path}/{name if name and not name.endswith(".json") else path.stem + ".png"}'
    raise ValueError(
        f'{path}: its image {told!r} is not there ({places[0] if places else "no imagePath"}), and imageData is empty; put the image '
        'beside the JSON or name the folder of the images'
    )


def decode_image(data: dict, name: Any) -> bytes:
    """The image file in `imageData`.

    Raises:
        ValueError: none, or damaged; names the file.
    """
    try:
        content = base64.b64decode(data.get('imageData') or b'', validate=True)
    except (TypeError, ValueError, binascii.Error) as error:
        raise ValueError(f'{name}: imageData is damaged ({error}); put the image beside the JSON or save it anew in LabelMe') from None
    image_size(content, f'{name}: imageData')
    return content


def image_shape(data: dict, image: str, path: Path) -> tuple[int, int]:
    """(H, W) that the file states, or where it doesn't (LabelMe 3) that of the image after EXIF rotation, which LabelMe applies too."""
    told = data.get('imageHeight'), data.get('imageWidth')
    if all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in told):
        return told  # type: ignore[return-value]
    return image_size(decode_image(data, path), str(path)) if image.startswith(PREFIX) else image_size(image)


@register_backend('labelme', prefixes='labelme')
class LabelMeImageBackend(CheckedImageBackend):
    """Images embedded in LabelMe JSON, labelme://<JSON file>/<image name>; files as `CheckedImageBackend`, with its errors.

    mmengine takes it by itself for such a path; `LoadImageFromFile(backend_args=dict(backend='labelme'))` checks files as well.
    """

    def get(self, filepath: str | Path) -> bytes:
        """Content of an image file."""
        if not str(filepath).startswith(PREFIX):
            return super().get(filepath)
        path = Path(str(filepath).removeprefix(PREFIX)).parent
        content = decode_image(json.loads(path.read_bytes()), path)
        check_complete(content, f'{path}: imageData')
        return content
