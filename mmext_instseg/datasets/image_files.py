"""Image files: what is looked at before they are decoded."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from mmengine.fileio import LocalBackend, register_backend
from PIL import Image, UnidentifiedImageError

MAX_PIXELS = 100_000_000  # our choice: a PNG of 600 KB can hold 300 MB of pixels
_ORIENTATION, _TURNED = 0x0112, (5, 6, 7, 8)  # EXIF tag, and its values that swap height and width
# OpenCV 4.12 doesn't follow the tag in WebP; in TIFF both libraries do, and Pillow's size has it in already.
_OPENCV_TURNS = ('JPEG', 'MPO', 'PNG')


def image_size(source: str | Path | bytes, name: str | None = None) -> tuple[int, int]:
    """Reads the header of an image.

    Args:
        source: a path, or the file's content.
        name: what to call the image in errors, by default the path.

    Returns:
        (height, width) that OpenCV's decoder gives, so after EXIF rotation.

    Raises:
        ValueError: missing, empty, not an image, or over `MAX_PIXELS`; names the file.
    """
    name = name or str(source)
    try:
        content = source if isinstance(source, bytes) else None
        size = Path(source).stat().st_size if content is None else len(content)
        if size == 0:
            raise ValueError(f'{name}: the file is empty (0 bytes); restore or remove it')
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # MAX_PIXELS decides
            with Image.open(source if content is None else io.BytesIO(content)) as image:
                width, height = image.size
                if width * height > MAX_PIXELS:
                    raise ValueError(f'{name}: {height} x {width} pixels are over the limit of {MAX_PIXELS:,}; cut the image into tiles')
                return (width, height) if _is_turned(image) else (height, width)
    except FileNotFoundError:
        raise ValueError(f'{name}: no such file; correct the path or restore the image') from None
    except Image.DecompressionBombError as error:
        raise ValueError(f'{name}: over the limit of {MAX_PIXELS:,} pixels ({error}); cut it into tiles') from None
    except UnidentifiedImageError:
        raise ValueError(f'{name}: not an image that can be read; restore it or convert it to JPEG, PNG or TIFF') from None
    except (OSError, SyntaxError) as error:
        raise ValueError(f'{name}: can not be read ({error}); restore or remove the file') from error


def _is_turned(image: Image.Image) -> bool:
    # Pillow would decode a whole PNG to look for a tag behind the pixels.
    tagged = image.format in _OPENCV_TURNS and (image.format != 'PNG' or 'exif' in image.info)
    return tagged and image.getexif().get(_ORIENTATION) in _TURNED


def check_complete(path: str | Path) -> None:
    """Decodes a file whose end isn't that of a whole JPEG or PNG.

    Raises:
        ValueError: cut off or damaged, naming the file.
    """
    with open(path, 'rb') as file:
        file.seek(max(Path(path).stat().st_size - 12, 0))
        end = file.read()
    if end.endswith((b'\xff\xd9', b'IEND\xaeB`\x82')):
        return
    # From memory, as mmcv's loader does it: from a file, OpenCV fills the missing part with grey.
    if cv2.imdecode(np.fromfile(path, dtype=np.uint8), cv2.IMREAD_COLOR) is None:
        raise ValueError(f'{path}: cut off or damaged; restore or remove the file')


@register_backend('checked_images')
class CheckedImageBackend(LocalBackend):
    """Local files for `LoadImageFromFile(backend_args=dict(backend='checked_images'))`.

    Before an image is decoded, an empty or foreign file and one over `MAX_PIXELS` raise a ValueError that names it. Truncated
    files raise in the decoder: mmcv's loader names them too.
    """

    def get(self, filepath: str | Path) -> bytes:
        content = super().get(filepath)
        image_size(content, str(filepath))
        return content
