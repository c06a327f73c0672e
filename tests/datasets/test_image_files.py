import io

import cv2
import numpy as np
import pytest
from mmcv.transforms import LoadImageFromFile
from mmdet.datasets.transforms import InferencerLoader
from PIL import Image

from mmext_instseg.datasets.image_files import check_complete, image_size

# Left half and right half of the 8 x 12 picture, in RGB.
LEFT, RIGHT = (200, 100, 50), (10, 20, 30)
GREY_LEFT, GREY_RIGHT = 124, 18  # Pillow's 0.299 R + 0.587 G + 0.114 B, rounded down


def picture() -> Image.Image:
    pixels = np.zeros((8, 12, 3), dtype=np.uint8)
    pixels[:, :6], pixels[:, 6:] = LEFT, RIGHT
    return Image.fromarray(pixels)


def saved(folder, image: Image.Image, suffix: str, **kwargs) -> str:
    path = folder / f'a.{suffix}'
    image.save(path, **kwargs)
    return str(path)


def load(path, decoder: str = 'cv2') -> np.ndarray:
    """The image as the network gets it, turned from BGR to RGB."""
    return LoadImageFromFile(imdecode_backend=decoder, backend_args={'backend': 'checked_images'})({'img_path': path})['img'][..., ::-1]


def with_alpha() -> Image.Image:
    image = picture()
    image.putalpha(Image.fromarray(np.linspace(0, 255, 96).astype(np.uint8).reshape(8, 12)))
    return image


CONVERSIONS = {
    'grey': (lambda: picture().convert('L'), 'png', (GREY_LEFT,) * 3, (GREY_RIGHT,) * 3),
    'grey and alpha': (lambda: picture().convert('LA'), 'png', (GREY_LEFT,) * 3, (GREY_RIGHT,) * 3),
    'alpha is dropped': (with_alpha, 'png', LEFT, RIGHT),
    'palette': (lambda: picture().convert('P', palette=Image.Palette.ADAPTIVE), 'png', LEFT, RIGHT),
    'one bit': (lambda: picture().convert('L').point(lambda v: 255 * (v > 100)).convert('1'), 'png', (255,) * 3, (0,) * 3),
    'gif': (lambda: picture().convert('P', palette=Image.Palette.ADAPTIVE), 'gif', LEFT, RIGHT),
    'cmyk': (lambda: picture().convert('CMYK'), 'tif', LEFT, RIGHT),
}


@pytest.mark.parametrize('decoder', ['cv2', 'pillow'])
@pytest.mark.parametrize('case', CONVERSIONS)
def test_every_kind_of_image_becomes_three_channels_of_eight_bits(tmp_path, case, decoder):
    make, suffix, left, right = CONVERSIONS[case]
    image = load(saved(tmp_path, make(), suffix), decoder)
    assert image.shape == (8, 12, 3) and image.dtype == np.uint8
    np.testing.assert_array_equal(image[:, :6], np.broadcast_to(left, (8, 6, 3)))
    np.testing.assert_array_equal(image[:, 6:], np.broadcast_to(right, (8, 6, 3)))


@pytest.mark.parametrize('decoder', ['cv2', 'pillow'])
def test_cmyk_jpeg_keeps_its_colours(tmp_path, decoder):
    image = load(saved(tmp_path, picture().convert('CMYK'), 'jpg', quality=100, subsampling=0), decoder)
    np.testing.assert_allclose(image[4, 2], LEFT, atol=3)
    np.testing.assert_allclose(image[4, 9], RIGHT, atol=3)


def test_sixteen_bits_lose_the_lower_eight_in_opencv(tmp_path):
    grey = (np.arange(96).reshape(8, 12) * 600).astype(np.uint16)
    image = load(saved(tmp_path, Image.fromarray(grey), 'png'))
    np.testing.assert_array_equal(image, np.repeat((grey >> 8)[..., None], 3, axis=2))
    colour = np.asarray(picture()).astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / 'b.png'), colour[..., ::-1])
    np.testing.assert_array_equal(load(str(tmp_path / 'b.png')), np.asarray(picture()))


def test_sixteen_bit_grey_is_white_in_pillow(tmp_path):
    """Known fault of imdecode_backend='pillow' (Pillow clips at 255): the reason why our configs keep OpenCV."""
    path = saved(tmp_path, Image.fromarray(np.full((8, 12), 600, dtype=np.uint16)), 'png')
    assert (load(path, 'pillow') == 255).all() and (load(path) == 2).all()


# Value of the EXIF tag -> what brings the stored pixels upright (EXIF 2.3, table 6).
UPRIGHT = {
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


@pytest.mark.parametrize('decoder', ['cv2', 'pillow'])
@pytest.mark.parametrize('suffix', ['png', 'jpg', 'tif'])
@pytest.mark.parametrize('tag', UPRIGHT)
def test_exif_rotation_is_applied(tmp_path, tag, suffix, decoder):
    exif = Image.Exif()
    exif[0x0112] = tag
    path = saved(tmp_path, picture(), suffix, exif=exif, quality=100, subsampling=0)
    expected = UPRIGHT[tag](np.asarray(picture())).astype(int)
    image = load(path, decoder)
    assert image.shape == expected.shape and image_size(path) == expected.shape[:2]
    np.testing.assert_allclose(image, expected, atol=3)


@pytest.mark.parametrize(
    ('content', 'message'),
    [(b'', r'a\.jpg: the file is empty'), (b'no image at all', r'a\.jpg: not an image'), (b'\xff\xd8\xff\xe0', r'a\.jpg: ')],
    ids=['empty', 'foreign', 'four bytes'],
)
def test_unreadable_files_are_named(tmp_path, content, message):
    path = tmp_path / 'a.jpg'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(str(path))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r'a\.jpg'):
        load(str(path))


@pytest.mark.parametrize('decoder', ['cv2', 'pillow'])
@pytest.mark.parametrize('suffix', ['png', 'jpg', 'bmp', 'tif', 'webp'])
@pytest.mark.parametrize('share', [0.5, 0.9, 0.99])
def test_truncated_files_are_named_and_never_filled_up(tmp_path, suffix, share, decoder):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    whole = io.BytesIO()
    noise.save(whole, {'jpg': 'JPEG', 'tif': 'TIFF'}.get(suffix, suffix.upper()))
    path = tmp_path / f'a.{suffix}'
    path.write_bytes(whole.getvalue()[: int(len(whole.getvalue()) * share)])
    with pytest.raises(ValueError, match=rf'a\.{suffix}'):
        load(str(path), decoder)


def test_real_photo_cut_in_half_is_named(real_data, tmp_path):
    content = (real_data / 'fruits_nuts/images/0.jpg').read_bytes()
    path = tmp_path / 'half.jpg'
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r'half\.jpg'):
        load(str(path))


def test_backend_works_in_mmdets_inferencer(tmp_path):
    loader = InferencerLoader(backend_args={'backend': 'checked_images'})
    np.testing.assert_array_equal(loader(saved(tmp_path, picture(), 'png'))['img'][..., ::-1], np.asarray(picture()))
    np.testing.assert_array_equal(loader(np.asarray(picture()))['img'], np.asarray(picture()))


def test_header_of_a_giant_image_is_enough(tmp_path):
    path = tmp_path / 'giant.png'
    Image.new('1', (10_001, 10_000)).save(path)
    with pytest.raises(ValueError, match=r'giant.png: 10000 x 10001 pixels are over the limit of 100,000,000'):
        image_size(path)


def test_jpeg_with_bytes_after_its_end_is_whole(tmp_path):
    path = tmp_path / 'a.jpg'
    Image.new('RGB', (64, 64), (9, 8, 7)).save(path)
    path.write_bytes(path.read_bytes() + b'trailing notes')
    check_complete(path)


@pytest.mark.parametrize('suffix', ['png', 'jpg', 'bmp'])
def test_files_that_are_cut_off_are_found_though_their_header_is_whole(tmp_path, suffix):
    path = tmp_path / f'a.{suffix}'
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)).save(path)
    check_complete(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    assert image_size(path) == (64, 64)
    with pytest.raises(ValueError, match=f'a.{suffix}: cut off or damaged'):
        check_complete(path)
