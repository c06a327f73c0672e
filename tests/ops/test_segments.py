import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext_instseg.ops import joint_histogram, largest_share, majority_label, segment_geometry, segment_mean, segment_sum


def test_sums_and_means_by_hand():
    values, index = torch.tensor([1.0, 2.0, 4.0, 8.0]), torch.tensor([0, 2, 0, 2])
    assert segment_sum(values, index, 4).tolist() == [5.0, 0.0, 10.0, 0.0]
    assert segment_mean(values, index, 4).tolist() == [2.5, 0.0, 5.0, 0.0]
    columns = torch.stack([values, -values], dim=1)
    assert segment_sum(columns, index, 3).tolist() == [[5.0, -5.0], [0.0, 0.0], [10.0, -10.0]]


def test_sums_are_differentiable():
    values = torch.rand(6, 2, dtype=torch.double, requires_grad=True)
    index = torch.tensor([0, 1, 1, 3, 0, 3])
    assert torch.autograd.gradcheck(lambda v: segment_sum(v, index, 4), (values,))


def test_geometry_by_hand():
    ids = torch.tensor([[0, 1, 1, -1], [0, 1, 0, 3], [0, 0, 0, 3]], dtype=torch.int32)
    areas, centroids, boxes = segment_geometry(ids, 3)
    assert areas.tolist() == [3, 0, 2]
    torch.testing.assert_close(centroids, torch.tensor([[4 / 3, 1 / 3], [0.0, 0.0], [3.0, 1.5]]))
    assert boxes.tolist() == [[1, 0, 3, 2], [0, 0, 0, 0], [3, 1, 4, 3]]


def test_centroid_of_a_large_object_is_exact():
    ids = torch.ones(1200, 2001, dtype=torch.int32)
    assert segment_geometry(ids, 1)[1].tolist() == [[1000.0, 599.5]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**31), st.integers(1, 20), st.integers(1, 20), st.integers(0, 8))
def test_geometry_equals_a_loop(seed, height, width, num):
    ids = torch.randint(-1, num + 1, (height, width), generator=torch.Generator().manual_seed(seed), dtype=torch.int32)
    areas, centroids, boxes = segment_geometry(ids, num)
    for k in range(num):
        y, x = (ids == k + 1).nonzero(as_tuple=True)
        assert areas[k] == len(y)
        if len(y):
            torch.testing.assert_close(centroids[k], torch.stack([x.double().mean(), y.double().mean()]).float())
            assert boxes[k].tolist() == [x.min(), y.min(), x.max() + 1, y.max() + 1]


def test_joint_histogram_by_hand():
    counts = joint_histogram(torch.tensor([0, 1, 1, 1]), torch.tensor([2, 0, 0, 2]), 2, 3)
    assert counts.tolist() == [[0, 0, 1], [2, 0, 1]]


def test_majority_label_by_hand():
    ids = torch.tensor([[1, 1, 1, 2], [2, 3, -1, 0]], dtype=torch.int32)
    labels = torch.tensor([[4, 4, 2, 3], [1, 255, 0, 0]])
    winners, shares = majority_label(ids, labels, num_segments=4, num_labels=5)
    assert winners.tolist() == [4, 1, 0, 0]  # 2: tie between 1 and 3; 3: nothing but an ignored pixel; 4: absent
    torch.testing.assert_close(shares, torch.tensor([2 / 3, 0.5, 0.0, 0.0]))


def test_largest_share_by_hand():
    ids = torch.tensor([[1, 1, 1, 2, 2, 3, 4, 0]])
    other = torch.tensor([[1, 2, 2, 2, 3, 0, -1, 3]])
    # 1 shares two pixels with 2 and one with 1; 2 one each with 2 and 3: the lower; 3 and 4 meet none.
    assert largest_share(ids, other, 4, 3).tolist() == [2, 2, 0, 0]
    assert largest_share(ids, other.clamp(max=0), 4, 0).tolist() == [0, 0, 0, 0]
    assert largest_share(ids.clamp(max=0), other, 0, 3).tolist() == []
