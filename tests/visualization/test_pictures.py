"""Pictures of a few pixels, each value derived by hand."""

import numpy as np
import pytest
import torch

from mmext_instseg.structures import InstanceMap
from mmext_instseg.visualization import (
    CLASS_COLOURS,
    UNMATCHED,
    colours_of_truth,
    draw_class_probability,
    draw_instances,
    draw_panoptic,
    draw_scalar,
    draw_votes,
    instance_colours,
    match_colours,
    mean_votes,
)


def grey(height, width, value=100):
    return np.full((height, width, 3), value, np.uint8)


def two_instances():
    ids = torch.tensor([[1, 1, 0, 0, 2], [1, 1, 0, 0, 2]])
    return InstanceMap.from_ids(ids, torch.tensor([0, 1]))


def test_instances_are_tinted_and_outlined():
    picture = draw_instances(grey(2, 5), two_instances(), factor=4, alpha=0.5)
    assert picture.shape == (8, 20, 3)
    assert picture[1, 1].tolist() == np.round(50 + 0.5 * CLASS_COLOURS[0]).astype(int).tolist()
    assert picture[1, 18].tolist() == np.round(50 + 0.5 * CLASS_COLOURS[1]).astype(int).tolist()
    assert picture[1, 10].tolist() == [100, 100, 100]
    # outlines begin where the id changes: at columns 2 and 4, enlarged 8 and 16
    assert np.flatnonzero((picture[4] == 0).all(axis=1)).tolist() == [8, 16]


def test_tint_keeps_its_hue_on_any_image():
    image = np.full((2, 5, 3), (30, 60, 210), np.uint8)  # as bright as grey 100
    assert (draw_instances(image, two_instances())[:, 0] == draw_instances(grey(2, 5), two_instances())[:, 0]).all()


def test_matches_share_a_colour():
    labels = torch.zeros(3, dtype=torch.int64)
    # 1 and 2 overlap by 3 of 4 pixels and 2 of 4; 3 has nothing below it but an ignored pixel
    found = InstanceMap.from_ids(torch.tensor([[1, 1, 1, 0], [2, 2, 2, 0], [3, 0, 0, 0]]), labels)
    truth = InstanceMap.from_ids(torch.tensor([[2, 2, 2, 2], [0, 1, 1, 1], [-1, 0, 0, 0]]), labels[:2])
    of_found, of_truth = match_colours(found, truth)
    assert of_found.tolist() == [CLASS_COLOURS[0].tolist(), UNMATCHED.tolist(), UNMATCHED.tolist()]
    assert of_truth.tolist() == [UNMATCHED.tolist(), CLASS_COLOURS[0].tolist()]


def test_ignored_pixels_do_not_spoil_a_match():
    found = InstanceMap.from_ids(torch.tensor([[1, 1, 1, 1]]), torch.tensor([0]))
    truth = InstanceMap.from_ids(torch.tensor([[1, -1, -1, -1]]), torch.tensor([0]))
    assert [colours.tolist() for colours in match_colours(found, truth)] == [CLASS_COLOURS[:1].tolist()] * 2


def test_nothing_to_match():
    empty = InstanceMap.from_ids(torch.zeros(2, 5, dtype=torch.int32), torch.zeros(0, dtype=torch.int64))
    of_found, of_truth = match_colours(two_instances(), empty)
    assert of_found.tolist() == [UNMATCHED.tolist()] * 2
    assert of_truth.shape == (0, 3)


def test_colours_given():
    picture = draw_instances(grey(2, 5), two_instances(), factor=4, alpha=1, colours=np.array([(1, 2, 3), (4, 5, 6)], np.uint8))
    assert picture[1, 1].tolist() == [1, 2, 3]
    assert picture[1, 18].tolist() == [4, 5, 6]


def test_nothing_found_leaves_the_image():
    empty = InstanceMap.from_ids(torch.zeros(2, 5, dtype=torch.int32), torch.zeros(0, dtype=torch.int64))
    assert (draw_instances(grey(2, 5), empty) == grey(2, 5)).all()


def test_ignored_regions_are_hatched():
    ids = torch.full((16, 16), -1)
    picture = draw_instances(grey(16, 16), InstanceMap.from_ids(ids, torch.zeros(0, dtype=torch.int64)))
    assert set(np.unique(picture)) == {100, 114}


def test_votes_shine_where_the_vectors_point():
    # Both pixels of the foreground point to (3, 1); the vector outside the foreground doesn't count.
    displacement = torch.full((2, 4, 5), float('nan'))
    displacement[:, 1, 1] = torch.tensor([2.0, 0.0])
    displacement[:, 3, 4] = torch.tensor([-1.2, -2.4])
    displacement[:, 0, 0] = 0.0
    foreground = torch.zeros(4, 5, dtype=torch.bool)
    foreground[1, 1] = foreground[3, 4] = True
    picture = draw_votes(grey(4, 5), displacement, foreground, radius=0)
    bright = picture.sum(axis=2) > 3 * 30
    assert np.argwhere(bright).tolist() == [[1, 3]]
    assert picture[0, 0].tolist() == [30, 30, 30]


def test_smoothed_votes_glow_around_their_target():
    displacement = torch.zeros(2, 9, 9)
    displacement[0, 4, 0] = 4.0
    foreground = torch.zeros(9, 9, dtype=torch.bool)
    foreground[4, 0] = True
    brightness = draw_votes(grey(9, 9), displacement, foreground, radius=2).astype(int).sum(axis=2)
    assert brightness[4, 4] > brightness[4, 5] > brightness[4, 6] > 90
    assert brightness[4, 1] == brightness[4, 7] == 90


def test_votes_that_leave_the_image_or_are_no_numbers():
    displacement = torch.tensor([[[50.0, float('nan'), -9.0]], [[0.0, 0.0, float('inf')]]])
    picture = draw_votes(grey(1, 3), displacement, torch.ones(1, 3, dtype=torch.bool))
    assert (picture == 30).all()


def test_mean_votes():
    displacement = torch.zeros(2, 2, 5)
    displacement[0, :, 4] = -4
    found = mean_votes(displacement, two_instances())
    assert found.tolist() == [[0.5, 0.5], [0.0, 0.5]]


def test_class_colours_mix_by_probability():
    probability = torch.tensor([[[1.0, 0.0, 0.5]], [[0.0, 0.0, 0.5]]])
    colours = np.array([(200, 0, 0), (0, 100, 0)], np.uint8)
    assert draw_class_probability(probability, colours)[0].tolist() == [[200, 0, 0], [255, 255, 255], [100, 50, 0]]


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match=r'the image has \(2, 4\) pixels, what is drawn on it \(2, 5\)'):
        draw_instances(grey(2, 4), two_instances())
    with pytest.raises(ValueError, match=r'\(H, W, 3\) uint8, not \(2, 5, 3\) float64'):
        draw_instances(grey(2, 5).astype(float), two_instances())


def test_colours_of_truth():
    truth = InstanceMap.from_ids(torch.tensor([[1, 1, 2, 2, 3, 3]]), torch.zeros(3))
    found = InstanceMap.from_ids(torch.tensor([[0, 1, 2, 2, 3, 3]]), torch.zeros(3))  # IoU 1/2: no match; 1; 1
    colours = colours_of_truth(found, truth)
    assert np.array_equal(colours[1:], instance_colours(3)[1:]) and np.array_equal(colours[0], UNMATCHED)


def test_numbers_as_colours():
    values = torch.tensor([[0.0, 1.0, float('inf'), 5.0]])
    picture = draw_scalar(values, 'gray', low=0.0, high=1.0)
    assert picture[0].tolist() == [[0] * 3, [255] * 3, [150] * 3, [255] * 3]
    assert draw_scalar(torch.full((2, 2), float('nan'))).tolist() == [[[150] * 3] * 2] * 2
    assert len(np.unique(draw_scalar(torch.arange(9.0).view(3, 3)).reshape(-1, 3), axis=0)) >= 8


def test_panoptic_colours():
    # two objects of class 0, stuff 1 and 2, void 3
    panoptic = torch.tensor([[1000, 1000, 2000, 2000, 1, 1, 2, 2, 3, 3]]).repeat(2, 1)
    picture = draw_panoptic(panoptic, num_things=1, num_classes=3)[1]
    inner = picture[1::2]
    assert len({tuple(one) for one in inner.tolist()}) == 5 and inner[4].tolist() == [255] * 3
    assert picture[2::2].tolist() == [[0] * 3] * 4, 'borders'
