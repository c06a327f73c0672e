import subprocess
import sys

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmext_instseg.structures.coco_masks import MAX_COORDINATE, decode_segmentation, parse_segmentation, run_pixels, segmentation_runs
from mmext_instseg.structures.painting import paint_ids

SQUARE = [1, 1, 4, 1, 4, 3, 1, 3]


def square_mask(height: int = 6, width: int = 7) -> np.ndarray:
    mask = np.zeros((height, width), dtype=bool)
    mask[1:3, 1:4] = True
    return mask


def test_polygon_covers_the_pixels_whose_centres_it_holds():
    mask = decode_segmentation([SQUARE], 6, 7)
    assert mask.dtype == bool and mask.flags.c_contiguous
    np.testing.assert_array_equal(mask, square_mask())


def test_parts_are_united_and_cut_at_the_frame():
    mask = decode_segmentation([SQUARE, [-3, 4, 2, 4, 2, 9, -3, 9]], 6, 7)
    expected = square_mask()
    expected[4:6, 0:2] = True
    np.testing.assert_array_equal(mask, expected)


@pytest.mark.parametrize('polygon', [[2, 2, 2, 2, 2, 2], [1, 1, 4, 1, 2, 1], [50, 50, 60, 50, 60, 60]])
def test_polygon_without_area_or_outside_the_frame_is_an_empty_mask(polygon):
    assert decode_segmentation([polygon], 6, 7).sum() == 0


def test_uncompressed_rle_runs_down_the_columns_and_begins_outside():
    # Column 0: one out, two in; column 1: three out; column 2: one in, two out.
    mask = decode_segmentation({'size': [3, 3], 'counts': [1, 2, 3, 1, 2]}, 3, 3)
    np.testing.assert_array_equal(mask, [[0, 0, 1], [1, 0, 0], [1, 0, 0]])
    assert decode_segmentation({'size': [2, 2], 'counts': [0, 4]}, 2, 2).all()


@pytest.mark.parametrize('seed', range(30))
def test_all_forms_agree_with_pycocotools(seed):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 50, 2)
    mask = rng.random((height, width)) < rng.random()
    rle = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    np.testing.assert_array_equal(decode_segmentation(rle, height, width), mask)
    np.testing.assert_array_equal(decode_segmentation({**rle, 'counts': rle['counts'].decode()}, height, width), mask)
    polygons = [(rng.random(2 * rng.integers(3, 9)) * 90 - 20).tolist() for _ in range(2)]
    expected = coco_mask.decode(coco_mask.frPyObjects(polygons, height, width)).any(axis=2)
    np.testing.assert_array_equal(decode_segmentation(polygons, height, width), expected)


def test_long_runs_of_a_large_image():
    runs = [3_000_000, 1, 2_999_999, 40_000_000]  # differences of both signs, groups of 5 bits up to the sixth
    rle = coco_mask.frPyObjects({'size': [6000, 7667], 'counts': [*runs, 46_002_000 - sum(runs)]}, 6000, 7667)
    np.testing.assert_array_equal(segmentation_runs(rle, 6000, 7667)[:4], runs)


@pytest.mark.parametrize('bad', [float('nan'), float('inf'), -float('inf'), 1e7, -1e300, MAX_COORDINATE + 1])
def test_far_or_undefined_coordinates_are_refused(bad):
    with pytest.raises(ValueError, match=r'^annotation 12: coordinate .*; correct or remove'):
        decode_segmentation([[1, 1, 4, 1, 4, bad]], 6, 7, name='annotation 12')


@pytest.mark.parametrize(
    ('segmentation', 'message'),
    [
        ([[1, 1, 4, 3]], 'polygon of 4 numbers .*read a box.*; write .* four corners'),
        ([SQUARE, [1, 1, 4, 3]], 'polygon of 4 numbers'),
        ([[1, 1, 4, 1, 4, 3, 1]], '7 numbers, an odd count'),
        ([[1, 1]], '1 points; at least 3'),
        ([[]], 'flat list of numbers'),
        ([], 'no polygon.*only a box'),
        ([1, 1, 4, 1, 4, 3], 'two brackets'),
        ([[[1, 1], [4, 1], [4, 3]]], 'flat list of numbers'),
        ([['1', '1', '4', '1', '4', '3']], 'flat list of numbers'),
        ([[1, 1, 4, 1, 4, None]], 'flat list of numbers'),
        ([[1, 1, 4, 1, 4, 10**30]], 'flat list of numbers'),
        ([[0, 0, 90_000, 90_000] * 40], 'outline of .* over the limit'),
        (None, 'not NoneType; remove the annotation or give it a mask'),
        ('abc', 'not str'),
        ({'size': [6, 7]}, "needs 'size' and 'counts'"),
        ({'size': [7, 6], 'counts': [42]}, r'\[7, 6\], the image has \[6, 7\]'),
        ({'size': [6, 7], 'counts': [10, 5]}, r'runs of 15 pixels, the image 6 x 7 = 42'),
        ({'size': [6, 7], 'counts': [40, 5]}, 'runs of 45 pixels'),
        ({'size': [6, 7], 'counts': [50, -8]}, 'negative'),
        ({'size': [6, 7], 'counts': [2**62, 2**62, 2**62, 2**62, 42]}, 'runs of 18446744073709551658 pixels'),
        ({'size': [6, 7], 'counts': [10.0, 32.0]}, 'list of integers'),
        ({'size': [6, 7], 'counts': []}, 'list of integers'),
        ({'size': [6, 7], 'counts': ''}, 'runs of none'),
        ({'size': [6, 7], 'counts': '\x00\x01'}, 'not a compressed RLE'),
        ({'size': [6, 7], 'counts': 'ä'}, 'not a compressed RLE'),
        ({'size': [6, 7], 'counts': b'PPPPPPPPPPPPPPPPP0'}, 'not a compressed RLE'),
        ({'size': [6, 7], 'counts': b'QP'}, 'not a compressed RLE'),
    ],
)
def test_everything_else_is_refused_by_name_with_a_way_out(segmentation, message):
    with pytest.raises(ValueError, match=f'(?s)^annotation 12: .*{message}'):
        parse_segmentation(segmentation, 6, 7, name='annotation 12')


def test_compressed_rle_with_short_runs_is_refused():
    short = coco_mask.encode(np.ones((5, 7), dtype=np.uint8, order='F'))
    with pytest.raises(ValueError, match='runs of 35 pixels, the image 6 x 7 = 42'):
        decode_segmentation({'size': [6, 7], 'counts': short['counts']}, 6, 7)


@pytest.mark.parametrize('size', [(0, 7), (6, 0), (-1, 7)])
def test_image_without_pixels_is_refused(size):
    with pytest.raises(ValueError, match='give the height and width'):
        decode_segmentation([SQUARE], *size)


def test_run_pixels():
    np.testing.assert_array_equal(run_pixels(np.array([1, 2, 3, 1, 2])), [1, 2, 6])
    assert run_pixels(np.array([9])).tolist() == []
    assert run_pixels(np.array([0, 3])).tolist() == [0, 1, 2]


@pytest.mark.parametrize(('overlap', 'expected'), [('top', [2, 2, 1, 3, -1, 0]), ('ignore', [-1, -1, 1, 3, -1, 0])])
def test_paint_ids(overlap, expected):
    # 1: pixels 0..3; 2: 0, 1; 3: pixel 3 of 2 pixels, the other under the lower id 2; the ignored region lies below all.
    masks = [[0, 1, 2], [0, 1], [1, 3]]
    ids = paint_ids(np.array([3, 2, 2]), lambda i: np.array(masks[i]), 6, [np.array([2, 4])], overlap)
    assert ids.tolist() == expected and ids.dtype == np.int32


FUZZ = """
import random
from mmext_instseg.structures.coco_masks import decode_segmentation
random.seed(SEED)
numbers = [0, 1, -1, 3, 7.5, 1e3, -1e4, 99_999, 1e7, 1e308, -1e308, float('nan'), float('inf'), 2**31, -2**31, 2**63, 2**64, 10**30]
number = lambda: random.choice(numbers) if random.random() < 0.05 else random.uniform(-50, 90)
junk = [None, True, '', 'x', b'', {}, [], [[]], [None], ['a'], 7, object()]
def counts():
    kind = random.random()
    if kind < 0.4:
        return [random.choice([0, 1, 5, 42, -1, 2**31, 2**40, 2**63]) for _ in range(random.randrange(6))]
    text = bytes(random.randrange(48, 112) if kind < 0.8 else random.randrange(256) for _ in range(random.randrange(20)))
    return text if random.random() < 0.5 else text.decode('latin1')
def segmentation():
    kind = random.random()
    if kind < 0.5:
        polygons = [[number() for _ in range(random.choice([2, 4, 5, 6, 8, 10]))] for _ in range(random.randrange(3))]
        return polygons if random.random() < 0.95 else [*polygons, random.choice(junk)]
    if kind < 0.9:
        return {'size': random.choice([[6, 7], [7, 6], [2**40, 2**40], [-6, -7], junk[3]]), 'counts': counts()}
    return random.choice(junk)
accepted = 0
for _ in range(4000):
    try:
        mask = decode_segmentation(segmentation(), 6, 7)
    except ValueError as error:
        assert str(error).startswith('segmentation: ')
    else:
        assert mask.shape == (6, 7) and mask.dtype == bool
        accepted += 1
assert 50 < accepted < 3950, accepted
print('survived')
"""


def test_random_junk_never_crashes_the_interpreter():
    made = subprocess.run([sys.executable, '-c', FUZZ.replace('SEED', '0')], capture_output=True, text=True, timeout=500, check=False)
    assert made.returncode == 0, made.stderr[-2000:]
    assert made.stdout.strip() == 'survived'
