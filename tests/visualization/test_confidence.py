"""Section 6.4 of embedding_unet_dbscan by hand."""

import numpy as np
import pytest
import torch

from mmext_instseg.visualization import confidence_colours, confidence_statistics, size_confidence
from mmext_instseg.visualization.confidence import CONFIDENCE_COLOURS, confidence_level

RED, ORANGE, GREEN = CONFIDENCE_COLOURS.tolist()


def test_section_6_4_by_hand():
    boxes = torch.tensor([[0.0, 0, 10, 10], [5, 5, 35, 25], [0, 0, 200, 100], [7, 7, 7, 9]])
    # of an image of 20,000 pixels, a tenth of which is 2,000: 100, 600, 20,000 and 0 pixels
    assert size_confidence(boxes, (100, 200)).tolist() == pytest.approx([0.05, 0.3, 1.0, 0.0])
    assert size_confidence(boxes, (100, 200), alpha=0.5).tolist() == pytest.approx([0.01, 0.06, 1.0, 0.0])
    assert size_confidence(boxes[:0], (100, 200)).shape == (0,)


def test_boxes_of_large_images_are_exact():
    boxes = torch.tensor([[0.0, 0, 4001, 4099]])  # more than float32 counts
    assert size_confidence(boxes, (20000, 20000)).item() == np.float32(4001 * 4099 / 4e7)


@pytest.mark.parametrize(
    ('value', 'colour'), [(0.0, RED), (0.4999, RED), (0.5, ORANGE), (0.6, ORANGE), (0.7, ORANGE), (0.7001, GREEN), (1.0, GREEN)]
)
def test_levels_end_where_the_paper_says(value, colour):
    assert confidence_colours(torch.tensor([value], dtype=torch.float64)).tolist() == [colour]


def test_statistics_are_of_the_objects_counted():
    confidence = torch.tensor([0.1, 0.5, 0.6, 0.9, 1.0])
    every = confidence_statistics(confidence)
    assert (every.count, every.high, every.medium, every.low) == (5, 2, 2, 1)
    assert every.mean == pytest.approx(0.62)
    assert str(every) == '5 objects, mean 0.62: 2 high (green), 2 medium, 1 low (red)'
    some = confidence_statistics(confidence, threshold=0.5)
    assert (some.count, some.high, some.medium, some.low) == (4, 2, 2, 0)
    assert some.mean == pytest.approx(0.75)
    none = confidence_statistics(confidence[:3], threshold=0.95)
    assert (none.count, none.mean, none.high, none.medium, none.low) == (0, 0.0, 0, 0, 0)
    assert confidence_level(confidence[:0]).shape == (0,)
