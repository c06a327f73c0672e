"""Boxes of objects and the two ways back: by centres, and by boxes that agree."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dcme import partition, voronoi

from mmext_instseg.codecs import BoxDistanceCodec
from mmext_instseg.codecs.box_distance import pixel_boxes
from mmext_instseg.ops import mask_iou
from mmext_instseg.registry import TASK_UTILS
from mmext_instseg.structures import InstanceMap

GROUPINGS = ['centers', 'boxes']


def ideal(codec: BoxDistanceCodec, *scenes: InstanceMap) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Batched maps and foreground."""
    encoded = [codec.encode(one)[0] for one in scenes]
    return {name: torch.stack([one[name] for one in encoded]) for name in codec.channels}, torch.stack([one.ids > 0 for one in scenes])


def round_trip(codec: BoxDistanceCodec, instances: InstanceMap) -> InstanceMap:
    maps, foreground = ideal(codec, instances)
    return codec.decode(maps, foreground, [instances.extent or instances.shape])[0]


def squares(*boxes: tuple[int, int, int, int], shape: tuple[int, int] = (48, 64)) -> InstanceMap:
    """Filled boxes (x1, y1, x2, y2), later ones on top."""
    ids = torch.zeros(shape, dtype=torch.int64)
    for number, (x1, y1, x2, y2) in enumerate(boxes, 1):
        ids[y1:y2, x1:x2] = number
    return InstanceMap.from_ids(ids, torch.zeros(len(boxes)))


def apart(codec: BoxDistanceCodec, instances: InstanceMap) -> bool:
    """Whether the representation can tell the objects apart, as the codec's docstring has it."""
    if codec.grouping == 'centers':
        cells = ((instances.boxes[:, :2] + instances.boxes[:, 2:]) / 2).floor()
        near = torch.cdist(cells, cells, p=torch.inf) <= codec.peak_radius
    else:
        filled = torch.zeros(len(instances), *instances.shape, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(filled, instances.boxes.long().tolist(), strict=True):
            mask[y1:y2, x1:x2] = True
        near = mask_iou(filled) > 0.588
    return len(instances) <= codec.max_instances and int(near.sum()) <= len(instances)


def test_encode_by_hand():
    instances = InstanceMap.from_ids(torch.tensor([[1, 1, 0, 0], [1, -1, 2, 2]]), torch.tensor([0, 0]))
    maps, weight = BoxDistanceCodec(sigma=2.0).encode(instances)
    left, top, right, bottom = maps['distance']
    torch.testing.assert_close(left, torch.tensor([[0.5, 1.5, 0, 0], [0.5, 0, 0.5, 1.5]]) / 4)
    torch.testing.assert_close(right, torch.tensor([[1.5, 0.5, 0, 0], [1.5, 0, 1.5, 0.5]]) / 4)
    torch.testing.assert_close(top, torch.tensor([[0.5, 0.5, 0, 0], [1.5, 0, 0.5, 0.5]]) / 2)
    torch.testing.assert_close(bottom, torch.tensor([[1.5, 1.5, 0, 0], [0.5, 0, 0.5, 0.5]]) / 2)
    # The boxes' centres (1, 1) and (3, 1.5) are the corner of and in the pixels (1, 1) and (3, 1)
    squared = torch.tensor([[2.0, 1, 2, 1], [1, 0, 1, 0]])
    torch.testing.assert_close(maps['heatmap'], torch.exp(-squared / 8)[None])
    assert torch.equal(weight, torch.tensor([[1.0, 1, 1, 1], [1, 0, 1, 1]]))


def test_the_heatmap_ends_at_three_sigma_and_vanished_objects_are_not_in_it():
    instances = InstanceMap.from_ids(torch.tensor([[1] + [0] * 9]), torch.zeros(2))
    heat = BoxDistanceCodec(sigma=2.0).heatmap(instances)[0, 0]
    torch.testing.assert_close(heat, torch.tensor([math.exp(-(x**2) / 8) if x <= 6 else 0.0 for x in range(10)]))


def test_distances_are_shares_of_the_image_without_padding():
    instances = squares((0, 0, 4, 6), shape=(6, 8))
    padded = instances.pad((12, 16))
    for grouping in GROUPINGS:
        codec = BoxDistanceCodec(grouping)
        maps, _ = codec.encode(padded)
        torch.testing.assert_close(maps['distance'][:, :6, :8], codec.encode(instances)[0]['distance'])
        assert torch.equal(round_trip(codec, padded).ids, padded.ids.clamp(min=0))


def test_boxes_of_pixels_by_hand():
    distance = torch.tensor([0.25, 0.5, math.nan, 9.0]).view(1, 4, 1, 1).expand(1, 4, 8, 16)
    boxes = pixel_boxes(distance, torch.tensor([[8.0, 16.0]]), (torch.tensor([0]), torch.tensor([3]), torch.tensor([5])))
    # The middle is (5.5, 3.5); 0.25 * 16 to the left, 0.5 * 8 up, half a pixel for NaN, no more than the height down; rounded to 1 / 8
    assert boxes[:, 0].tolist() == [1.5, -0.5, 6.0, 11.5]
    assert pixel_boxes(distance * 0 - 1, torch.tensor([[8.0, 16.0]]), (torch.tensor([0]),) * 3)[:, 0].tolist() == [0, 0, 1, 1]


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(GROUPINGS),
    st.integers(0, 2**31),
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.integers(0, 12),
    st.sampled_from([dict(), dict(sigma=2.0, peak_radius=1), dict(sigma=30.0), dict(max_instances=3)]),
    st.sampled_from([None, (70, 80)]),
)
def test_round_trip(grouping, seed, shape, num, arguments, padded):
    codec = BoxDistanceCodec(grouping, **arguments)
    instances = voronoi(seed, shape, num)
    if padded:
        instances = instances.pad(padded)
    decoded = round_trip(codec, instances)
    truth, found = partition(instances.ids), partition(decoded.ids)
    if apart(codec, instances):
        assert found == truth
        if grouping == 'centers':
            assert torch.equal(decoded.scores, torch.ones(len(instances)))
    # Elsewhere objects merge, but none is split: each decoded object is a union of true ones.
    owners = {one: {int(k) for k in decoded.ids.flatten()[list(one)].unique()} for one in truth}
    assert all(len(owner) == 1 for owner in owners.values())
    assert found == {frozenset().union(*(one for one in truth if owners[one] == {k})) for k in range(1, len(decoded) + 1)}
    assert len(decoded) <= codec.max_instances
    if grouping == 'centers' or len(instances) <= codec.max_instances:
        assert torch.equal(decoded.ids > 0, instances.ids > 0), 'no pixel is lost'


@pytest.mark.parametrize(('grouping', 'found'), [('centers', 1), ('boxes', 2)])
def test_a_small_object_in_the_middle_of_a_large_one(grouping, found):
    instances = squares((4, 4, 37, 37), (18, 18, 23, 23))
    decoded = round_trip(BoxDistanceCodec(grouping), instances)
    assert len(decoded) == found and torch.equal(decoded.ids > 0, instances.ids > 0)


def test_centres_merge_by_their_distance():
    near = squares((2, 2, 22, 18), (2, 2, 22, 6))  # the upper quarter lies on top: what is left has its centre 8 below
    assert len(round_trip(BoxDistanceCodec(peak_radius=7), near)) == 2
    assert len(round_trip(BoxDistanceCodec(peak_radius=8), near)) == 1


def test_boxes_merge_by_their_overlap():
    for shift, found in ((5, 1), (6, 2)):  # an IoU of 15 / 25 = 0.6 and of 14 / 26 = 0.54
        ids = torch.zeros(30, 40, dtype=torch.int64)
        ids[4, 4:24] = ids[5, 4] = 1
        ids[23, 4:24] = 1
        ids[6, 4 + shift : 24 + shift] = ids[22, 4 + shift : 24 + shift] = 2
        ids[4, 24 + shift - 1] = ids[23, 24 + shift - 1] = 2
        instances = InstanceMap.from_ids(ids, torch.zeros(2))
        assert instances.boxes.tolist() == [[4, 4, 24, 24], [4 + shift, 4, 24 + shift, 24]]
        assert len(round_trip(BoxDistanceCodec('boxes'), instances)) == found


@pytest.mark.parametrize('grouping', GROUPINGS)
def test_many_objects(grouping):
    num, side = 600, 25
    y, x = torch.meshgrid(torch.arange(side * 5), torch.arange(side * 5), indexing='ij')
    ids = (y // 5) * side + x // 5 + 1
    ids[ids > num] = 0
    codec = BoxDistanceCodec(grouping, max_instances=num, max_candidates=num)
    decoded = round_trip(codec, InstanceMap.from_ids(ids, torch.zeros(num)))
    assert len(decoded) == num and partition(decoded.ids) == partition(ids)
    few = round_trip(BoxDistanceCodec(grouping, max_instances=200, max_candidates=num), InstanceMap.from_ids(ids, torch.zeros(num)))
    assert len(few) == 200


@pytest.mark.parametrize('grouping', GROUPINGS)
def test_batch_equals_images_apart_and_empty_images_stay_empty(grouping):
    codec = BoxDistanceCodec(grouping)
    scenes = [voronoi(seed, (31, 45), num) for seed, num in ((0, 4), (1, 0), (2, 7), (3, 1))]
    maps, foreground = ideal(codec, *scenes)
    noise = torch.rand(maps['distance'].shape, generator=torch.Generator().manual_seed(0))
    maps['distance'] = maps['distance'] + 0.05 * noise
    together = codec.decode(maps, foreground)
    turned = codec.decode({name: value.flip(0) for name, value in maps.items()}, foreground.flip(0))[::-1]
    for index, found in enumerate(together):
        alone = codec.decode({name: value[index : index + 1] for name, value in maps.items()}, foreground[index : index + 1])[0]
        for other in (alone, turned[index]):
            assert torch.equal(found.ids, other.ids) and torch.equal(found.scores, other.scores)
    empty = together[1]
    assert len(empty) == 0 and empty.ids.dtype == torch.int32
    assert (empty.labels.dtype, empty.scores.dtype, empty.boxes.shape) == (torch.int64, torch.float32, (0, 4))
    assert codec.decode({name: value[:0] for name, value in maps.items()}, foreground[:0]) == []


@pytest.mark.parametrize('grouping', GROUPINGS)
def test_pieces_of_a_batch_make_no_difference(grouping, monkeypatch):
    """However many pairs of pixel and row are compared at a time."""
    codec = BoxDistanceCodec(grouping)
    maps, foreground = ideal(codec, *(voronoi(seed, (40, 30), num) for seed, num in ((0, 9), (1, 1), (2, 0), (3, 5))))
    maps['distance'] += 0.1 * torch.rand(maps['distance'].shape, generator=torch.Generator().manual_seed(0))
    whole = codec.decode(maps, foreground)
    for pairs in (1, 7, 500):
        monkeypatch.setattr('mmext_instseg.codecs.box_clusters._PAIRS', pairs)
        for one, other in zip(whole, codec.decode(maps, foreground), strict=True):
            assert torch.equal(one.ids, other.ids) and torch.equal(one.scores, other.scores)


def test_peaks_and_nearest_centres_by_hand():
    heat = torch.zeros(1, 1, 1, 60)
    # 12 is too near to 10, 30 and 31 are a plateau, 50 is too low, 57 is padding
    heat[0, 0, 0, [10, 12, 30, 31, 50, 57]] = torch.tensor([0.7, 0.65, 0.8, 0.8, 0.09, 0.9])
    distance = torch.zeros(1, 4, 1, 60)
    distance[:, 2, :, 14] = 30.5 / 55  # a box from 14 to 45: its centre 29.5 is nearer to 31.5 than to 10.5
    distance[:, 2, :, 20] = 1.5 / 55  # from 20 to 22: its centre 21 is in the middle, the higher peak wins
    found = BoxDistanceCodec().decode({'heatmap': heat, 'distance': distance}, extents=[(1, 55)])[0]
    torch.testing.assert_close(found.scores, torch.tensor([0.8, 0.7]))
    assert found.ids[0].tolist() == [2] * 14 + [1] + [2] * 5 + [1] * 40


def test_agreement_by_hand():
    ids = squares((2, 2, 12, 12), (2, 20, 12, 30)).ids
    ids[24, 5] = 0
    codec = BoxDistanceCodec('boxes', min_votes=2)
    maps, foreground = ideal(codec, InstanceMap.from_ids(ids, torch.zeros(2)))
    maps['distance'][0, 2, 2, 2] += 10 / 64  # a pixel of the first says (2, 2, 22, 12): an IoU of 1 / 2
    foreground[0, 24, 5] = True  # a box of one pixel: an IoU of 1 / 100 with the second
    foreground[0, 40, 60] = True  # one that meets none
    found = codec.decode(maps, foreground)[0]
    assert partition(found.ids) == partition(squares((2, 2, 12, 12), (2, 20, 12, 30)).ids)
    torch.testing.assert_close(found.scores.sort().values, torch.tensor([0.9901, 0.995]))


def test_pixels_of_others_in_the_box_lower_the_agreement():
    codec = BoxDistanceCodec('boxes')
    scores = round_trip(codec, squares((0, 0, 20, 20), (8, 8, 12, 12))).scores
    torch.testing.assert_close(scores.sort().values, torch.tensor([1 - 16 / 400, 1.0]))


def test_without_foreground_every_pixel_counts():
    instances = InstanceMap.from_ids(torch.ones(5, 6, dtype=torch.int64), torch.zeros(1))
    for grouping in GROUPINGS:
        codec = BoxDistanceCodec(grouping)
        maps, _ = ideal(codec, instances)
        assert (codec.decode(maps)[0].ids == 1).all()


@pytest.mark.parametrize('grouping', GROUPINGS)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_maps(grouping, dtype):
    instances = squares((2, 2, 22, 18), (30, 4, 60, 40), (4, 22, 24, 46))
    codec = BoxDistanceCodec(grouping)
    maps, foreground = ideal(codec, instances)
    decoded = codec.decode({name: value.to(dtype) for name, value in maps.items()}, foreground)[0]
    assert partition(decoded.ids) == partition(instances.ids)
    assert decoded.scores.dtype == torch.float32 and (decoded.scores > 0.9).all()


@pytest.mark.parametrize('grouping', GROUPINGS)
def test_small_groups_are_dropped(grouping):
    instances = squares((2, 2, 12, 12), (40, 30, 43, 32))
    assert len(round_trip(BoxDistanceCodec(grouping, min_area=7), instances)) == 1
    assert len(round_trip(BoxDistanceCodec(grouping, min_area=6), instances)) == 2


def test_bins_of_few_votes_are_no_candidates():
    instances = squares((2, 2, 12, 12), (40, 30, 43, 32))
    found = round_trip(BoxDistanceCodec('boxes', min_votes=7), instances)
    assert len(found) == 1 and torch.equal(found.ids > 0, instances.ids == 1)  # the other's box meets none


@pytest.mark.parametrize('stride', [1, 2, 4, 8])
def test_arguments_at_a_stride(stride):
    codec = TASK_UTILS.build(dict(type='BoxDistanceCodec', **BoxDistanceCodec.arguments_at(stride)))
    assert codec.sigma == 8 / stride and codec.peak_radius >= 1


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(grouping='pixels'), "grouping must be 'centers' or 'boxes', not 'pixels'"),
        (dict(sigma=0), 'sigma must be above 0'),
        (dict(peak_radius=0), 'peak_radius must be a whole number above 0'),
        (dict(max_candidates=2.5), 'max_candidates must be a whole number above 0, not 2.5'),
        (dict(nms_threshold=0), r'nms_threshold must be in \(0, 1\]'),
        (dict(peak_threshold=1.5), r'peak_threshold must be in \(0, 1\]'),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        BoxDistanceCodec(**arguments)
