"""Panels of odd contents are written, hold the image they were given, and stack."""

import numpy as np
import pytest
import torch
from PIL import Image

from mmext_instseg.structures import InstanceMap
from mmext_instseg.visualization import contact_sheet, draw_panel, panel_factor


def scene(count, size=(24, 36)):
    ids = torch.zeros(size, dtype=torch.int32)
    for index in range(count):
        row, column = divmod(index, size[1] // 4)
        ids[4 * row : 4 * row + 3, 4 * column : 4 * column + 3] = index + 1
    return InstanceMap.from_ids(ids, torch.arange(count) % 3, torch.linspace(0, 1, count))


def read(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert('RGB'))


@pytest.mark.parametrize('count', [0, 1, 50])
def test_everything_at_once(tmp_path, count):
    image = np.full((24, 36, 3), (10, 250, 10), np.uint8)
    found = scene(count)
    path = draw_panel(
        tmp_path / 'new' / 'panel.png',
        image,
        found,
        truth=scene(3),
        displacement=torch.randn(2, 24, 36),
        foreground=torch.zeros(24, 36, dtype=torch.bool) if count == 0 else None,
        class_prob=torch.rand(3, 12, 18) / 3,
        class_names=['disc', 'star', 'ring'],
        title='scene',
    )
    picture = read(path)
    assert picture.shape[1] > 4 * picture.shape[0], 'six columns side by side'
    assert (picture == (10, 250, 10)).all(axis=2).any(), 'the image itself, without smoothing'


def test_columns_follow_what_is_given(tmp_path):
    image = np.zeros((24, 36, 3), np.uint8)
    few = read(draw_panel(tmp_path / 'few.png', image, scene(2)))
    more = read(draw_panel(tmp_path / 'more.png', image, scene(2), truth=scene(2), displacement=torch.zeros(2, 24, 36)))
    assert more.shape[1] / few.shape[1] == pytest.approx(5 / 2, rel=0.01)


def test_captions_stand_below_their_picture(tmp_path):
    image = np.zeros((24, 36, 3), np.uint8)
    shown = [
        read(draw_panel(tmp_path / f'{name}.png', image, scene(2), pictures={'one': image, 'two': image}, captions=captions))
        for name, captions in (('without', {}), ('with', {'two': '3 objects'}))
    ]
    columns = np.flatnonzero((shown[0] != shown[1]).any(axis=(0, 2))) / shown[0].shape[1]
    assert columns.min() > 0.5 and columns.max() < 0.75, 'of four columns only the third differs'


def test_small_pictures_are_enlarged_for_thin_outlines():
    assert [panel_factor(shape) for shape in ((128, 100), (600, 512), (2000, 4000))] == [4, 1, 1]


def test_sheet_stacks_pictures_of_any_width(tmp_path):
    for name, size in (('a', (100, 40)), ('b', (50, 30))):
        Image.new('RGB', size, 'red').save(tmp_path / f'{name}.png')
    sheet = read(contact_sheet([tmp_path / 'a.png', tmp_path / 'b.png'], tmp_path / 'sheet.png', width=200))
    assert sheet.shape == (80 + 120, 200, 3)
    assert (sheet == (255, 0, 0)).all()
