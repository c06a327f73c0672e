"""Image files: what is looked at before they are decoded.

What mmcv's `LoadImageFromFile` makes of them with OpenCV 4.12: grey, palette, one-bit and CMYK images become three channels of 8
bits; alpha is dropped; of 16 bits the upper 8 stay (`imdecode_backend='pillow'` clips 16-bit grey at 255 instead: keep OpenCV);
EXIF rotation is applied in JPEG, PNG and TIFF; 32-bit TIFF is refused.
"""

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
_JPEG_END, _PNG_END = b'\xff\xd9', b'IEND\xaeB`\x82'


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
    name = _name(source, name)
    try:
        empty = not source if isinstance(source, bytes) else Path(source).stat().st_size == 0
        width, height, turned = (0, 0, False) if empty else _read_header(io.BytesIO(source) if isinstance(source, bytes) else source)
    except FileNotFoundError:
        raise ValueError(f'{name}: no such file; correct the path or restore the image') from None
    except Image.DecompressionBombError as error:
        raise ValueError(f'{name}: over the limit of {MAX_PIXELS:,} pixels ({error}); cut it into tiles') from None
    except UnidentifiedImageError:
        raise ValueError(f'{name}: not an image that can be read; restore it or convert it to JPEG, PNG or TIFF') from None
    except Exception as error:  # Pillow's parsers raise whatever their arithmetic raises
        raise ValueError(f'{name}: the header can not be read ({error}); restore or remove the file') from error
    if empty:
        raise ValueError(f'{name}: the file is empty (0 bytes); restore or remove it')
    if width * height > MAX_PIXELS:
        raise ValueError(f'{name}: {height} x {width} pixels are over the limit of {MAX_PIXELS:,}; cut the image into tiles')
    return (width, height) if turned else (height, width)


def check_complete(source: str | Path | bytes, name: str | None = None) -> None:
    """Decodes a file whose end isn't that of a whole JPEG or PNG.

    Raises:
        ValueError: cut off or damaged, naming the file; arguments as `image_size`.
    """
    name = _name(source, name)
    if isinstance(source, bytes):
        end = source[-12:]
    else:
        with open(source, 'rb') as file:
            file.seek(max(Path(source).stat().st_size - 12, 0))
            end = file.read()
    if end.endswith((_JPEG_END, _PNG_END)):
        return
    # From memory, as mmcv's loader does it: from a file, OpenCV fills the missing part with grey.
    content = source if isinstance(source, bytes) else Path(source).read_bytes()
    if cv2.imdecode(np.frombuffer(content, dtype=np.uint8), cv2.IMREAD_COLOR) is None:
        raise ValueError(f'{name}: cut off or damaged, or of a kind that OpenCV can not decode (32-bit TIFF); restore or convert the file')


@register_backend('checked_images')
class CheckedImageBackend(LocalBackend):
    """Local files for `LoadImageFromFile(backend_args=dict(backend='checked_images'))`, in testing and inference too.

    mmcv's loader doesn't say which file was empty, broken (with Pillow) or took all memory. Here each raises a ValueError that
    names it. Costs a look at the header; a file without the end of a JPEG or PNG is decoded twice.
    """

    def get(self, filepath: str | Path) -> bytes:
        """Content of an image file; errors as `image_size` and `check_complete`."""
        content = super().get(filepath)
        image_size(content, str(filepath))
        check_complete(content, str(filepath))
        return content


def _name(source: str | Path | bytes, name: str | None) -> str:
    return name or ('image' if isinstance(source, bytes) else str(source))


def _read_header(source: str | Path | io.BytesIO) -> tuple[int, int, bool]:
    """Stored width and height, and whether OpenCV swaps them."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # MAX_PIXELS decides
        with Image.open(source) as image:
            # Pillow would decode a whole PNG to look for a tag behind the pixels.
            tagged = image.format in _OPENCV_TURNS and (image.format != 'PNG' or 'exif' in image.info)
            return *image.size, tagged and image.getexif().get(_ORIENTATION) in _TURNED
