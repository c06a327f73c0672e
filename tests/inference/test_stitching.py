import gc

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from tiles import components, cut, same_objects, stitch

from mmext_instseg.inference import TileGrid, stitch_tiles
from mmext_instseg.ops import label_pieces
from mmext_instseg.structures import InstanceMap


def blobs(seed: int, shape: tuple[int, int], side: int, values: int) -> torch.Tensor:
    """(H, W) integers below `values`, constant in blocks of about `side` pixels."""
    coarse = torch.randint(0, values, tuple(-(-length // side) + 1 for length in shape), generator=torch.Generator().manual_seed(seed))
    return coarse.repeat_interleave(side, 0).repeat_interleave(side, 1)[: shape[0], : shape[1]]


scenes = dict(
    seed=st.integers(0, 2**31),
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    side=st.integers(1, 6),
    tile=st.tuples(st.integers(4, 30), st.integers(4, 30)),
)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.booleans(), *scenes.values())
def test_components_of_tiles_are_those_of_the_image(data, corners, seed, shape, side, tile):
    """Objects of any shape, winding through many tiles."""
    grid = TileGrid(shape, tile, data.draw(st.integers(2, min(tile) - 1)))
    image = blobs(seed, shape, side, 2) > 0
    got = stitch_tiles((components(image[box], corners) for box in grid.boxes()), grid)
    whole = components(image, corners)
    assert same_objects(got.ids, whole.ids) and len(got) == len(whole)
    assert sorted(got.areas.tolist()) == sorted(whole.areas.tolist()) and (got.scores == 1).all()


@settings(deadline=None, max_examples=60)
@given(st.data(), *scenes.values())
def test_touching_objects_stay_apart(data, seed, shape, side, tile):
    """Nearly every pixel is of some object, each next to several others, of two classes."""
    pieces, count = label_pieces(blobs(seed, shape, side, 5).numpy())
    truth = torch.from_numpy(pieces.copy())
    labels = torch.arange(count) % 2
    got = stitch(truth, tile, data.draw(st.integers(2, min(tile) - 1)), labels)
    assert same_objects(got.ids, truth)
    assert torch.equal(got.label_map(9, 9), InstanceMap.from_ids(truth, labels).label_map(9, 9))


def scene(*boxes: tuple[int, int, int, int], shape=(40, 40)) -> torch.Tensor:
    """Objects as boxes y1, x1, y2, x2; later ones on top."""
    ids = torch.zeros(shape, dtype=torch.int32)
    for number, (y1, x1, y2, x2) in enumerate(boxes, 1):
        ids[y1:y2, x1:x2] = number
    return ids


@pytest.mark.parametrize(
    'truth',
    [
        scene((5, 12, 9, 20)),
        scene((12, 12, 20, 20)),
        scene((3, 1, 6, 39)),
        scene((0, 0, 40, 40)),
        scene((10, 2, 14, 16), (10, 16, 14, 38)),
        scene((2, 2, 38, 38), (6, 6, 34, 34)),
    ],
    ids=['one seam', 'corner of four tiles', 'longer than two tiles', 'all tiles', 'touching on a seam', 'one in the hole of another'],
)
def test_objects_cut_by_seams_come_out_whole(truth):
    """Tiles of 16 with 4 overlapping begin at 0, 12, 24 (their seams are 14 and 26)."""
    grid = TileGrid((40, 40), (16, 16), 4)
    assert grid.starts == ([0, 12, 24], [0, 12, 24])
    got = stitch(truth, (16, 16), 4)
    assert same_objects(got.ids, truth) and len(got) == int(truth.max())


def test_a_u_whose_legs_end_in_another_tile():
    """The tile on the left sees two legs, and that they are one object only the tile on the right."""
    truth = scene((4, 2, 7, 24), (10, 2, 13, 24), (4, 22, 13, 24), shape=(16, 28)).clamp(max=1)
    assert ndimage.label(truth[:, :16].numpy())[1] == 2
    grid = TileGrid((16, 28), (16, 16), 4)
    got = stitch_tiles((components(truth[box] > 0) for box in grid.boxes()), grid)
    assert len(got) == 1 and same_objects(got.ids, truth)


def row(*ids: int, labels: list[int] | None = None, scores: list[float] | None = None) -> InstanceMap:
    """A tile of one row twice over."""
    count = max(ids)
    return InstanceMap.from_ids(
        torch.tensor([ids, ids]), torch.tensor(labels or [0] * count), torch.tensor(scores) if scores else torch.ones(count)
    )


GRID = TileGrid((2, 10), (3, 6), 2)  # two tiles of 2 x 6 at 0 and 4; the seam is at 5


def test_the_nearer_centre_decides_and_scores_are_weighted_by_area():
    """One object: columns 2 to 4 from the first tile, 5 to 6 from the second, which doesn't see column 4."""
    assert GRID.tile == (2, 6) and GRID.cores()[1] == (slice(0, 2), slice(5, 10))
    first, second = row(0, 0, 1, 1, 1, 1, scores=[0.9]), row(0, 1, 1, 0, 0, 0, scores=[0.4])
    assert len(stitch_tiles([first, second], GRID)) == 2  # half of the first one's pixels in the overlap is not more than half
    second = row(1, 1, 1, 0, 0, 0, scores=[0.4])
    got = stitch_tiles([first, second], GRID)
    assert got.ids.tolist() == [[0, 0, 1, 1, 1, 1, 1, 0, 0, 0]] * 2
    torch.testing.assert_close(got.scores, torch.tensor([(6 * 0.9 + 4 * 0.4) / 10]))
    assert got.ids.dtype == torch.int32 and got.scores.dtype == torch.float32


def test_different_labels_stay_apart():
    got = stitch_tiles([row(0, 0, 1, 1, 1, 1, labels=[3]), row(1, 1, 1, 0, 0, 0, labels=[4])], GRID)
    assert got.ids.tolist() == [[0, 0, 1, 1, 1, 2, 2, 0, 0, 0]] * 2 and got.labels.tolist() == [3, 4]


def test_what_lies_beyond_the_seam_is_left_out():
    """Row 2 of the first tile has pixels only where the second decides, which finds nothing there; numbers have no gap."""
    got = stitch_tiles([row(1, 0, 0, 0, 0, 2), row(0, 0, 0, 0, 1, 1)], GRID)
    assert got.ids.tolist() == [[1, 0, 0, 0, 0, 0, 0, 0, 2, 2]] * 2 and len(got) == 2


def test_ignored_pixels_and_missing_scores():
    got = stitch_tiles([row(-1, 0, 0, 0, 0, 0), InstanceMap.from_ids(torch.ones(2, 6), torch.tensor([1]))], GRID)
    assert got.ids.tolist() == [[0, 0, 0, 0, 0, 1, 1, 1, 1, 1]] * 2 and got.scores.tolist() == [1.0]


def test_an_image_smaller_than_a_tile_is_one_tile():
    truth = scene((1, 1, 4, 5), shape=(6, 7))
    assert len(TileGrid((6, 7), (512, 512), 128)) == 1
    assert torch.equal(stitch(truth, (512, 512), 128).ids, truth)


def test_no_instances():
    got = stitch(scene(shape=(20, 20)), (8, 8), 2)
    assert len(got) == 0 and not got.ids.any()


def test_one_row_of_tiles_is_kept():
    """20 rows of 4 tiles: when the last one comes, those of the last row and no others are there."""
    truth = scene((0, 0, 220, 40), shape=(222, 41))
    grid = TileGrid((222, 41), (13, 14), 2)
    assert (len(grid), grid.num_columns) == (80, 4)

    def tiles():
        for number, box in enumerate(grid.boxes()):
            if number == len(grid) - 1:
                alive = [one for one in gc.get_objects() if type(one) is torch.Tensor and one.shape == (13, 14)]
                counts.append(len(alive))
            yield cut(truth, torch.zeros(1, dtype=torch.int64), box)

    counts = []
    assert len(stitch_tiles(tiles(), grid)) == 1
    assert 4 <= counts[0] <= 4 + 2, 'the last row, and the tile before with its numbers'


def test_results_that_do_not_fit_the_grid():
    with pytest.raises(ValueError):
        stitch_tiles([row(0, 0, 0, 0, 0, 0)], GRID)
    with pytest.raises(ValueError, match=r'tile 0 has \(2, 3\) pixels in its result, not \(2, 6\)'):
        stitch_tiles([row(0, 0, 0)] * 2, GRID)
