"""Colours of hand-picked vectors."""

import numpy as np
import pytest
import torch

from mmext_instseg.visualization import CLASS_COLOURS, colour_wheel, instance_colours, wheel_key


def colour_of(dx, dy, longest=2.0):
    return tuple(colour_wheel(torch.tensor([dx, dy], dtype=torch.float32).view(2, 1, 1), longest)[0, 0].tolist())


@pytest.mark.parametrize(
    ('vector', 'colour'),
    [
        ((0, 0), (255, 255, 255)),
        ((2, 0), (255, 0, 0)),  # hue 0
        ((1, 0), (255, 128, 128)),  # half as long: half saturated
        ((-2, 0), (0, 255, 255)),  # hue 180
        ((0, 2), (128, 255, 0)),  # hue 90; y points downwards
        ((0, -2), (127, 0, 255)),  # hue 270
        ((20, 0), (255, 0, 0)),  # saturation ends at 1
        ((float('nan'), 0), (0, 0, 0)),
        ((0, float('inf')), (0, 0, 0)),
    ],
)
def test_direction_is_hue_and_length_is_saturation(vector, colour):
    assert np.abs(np.subtract(colour_of(*vector), colour)).max() <= 1


def test_scale_is_that_of_the_longest_vectors():
    vectors = torch.zeros(2, 10, 10)
    vectors[0, :5] = 7
    picture = colour_wheel(vectors)
    assert picture.shape == (10, 10, 3)
    assert picture.dtype == np.uint8
    assert picture[0, 0].tolist() == [255, 0, 0]
    assert picture[9, 9].tolist() == [255, 255, 255]


def test_no_vector_at_all():
    assert (colour_wheel(torch.zeros(2, 3, 4)) == 255).all()
    assert colour_wheel(torch.full((2, 3, 4), float('nan'))).sum() == 0
    assert colour_wheel(torch.zeros(2, 0, 4)).shape == (0, 4, 3)


def test_key_points_the_same_way():
    key = wheel_key(101)
    assert key[50, 50].tolist() == [255, 255, 255, 255]
    assert key[50, 100].tolist() == [255, 0, 0, 255]
    assert key[0, 0, 3] == 0


def test_instances_stay_apart():
    colours = instance_colours(21)
    assert (colours[:7] == CLASS_COLOURS).all()
    assert len(np.unique(colours, axis=0)) == 21
    assert instance_colours(50).shape == (50, 3)
    assert instance_colours(0).shape == (0, 3)
