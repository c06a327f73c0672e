"""The heads of InstanceCLIPSeg: mask, centres and distances."""

import math

import pytest
import torch
from head_contract import HeadContract, WithoutLabels, make_sample

from mmext_instseg.models.losses import reduction
from mmext_instseg.registry import MODELS

CODEC = dict(type='BoxDistanceCodec', sigma=2.0)


class AveragedOverRanks:
    """Beside `HeadContract`: every rank divides by the mean of all of them."""

    def test_the_ranks_divide_by_one_number(self, head, monkeypatch):
        raw = torch.randn(1, head.project.out_channels, 3, 4, generator=torch.Generator().manual_seed(0))
        sample = make_sample(torch.tensor([[1, 1, 0, -1]] * 3))
        alone = head.loss_by_output(raw, [sample])
        monkeypatch.setattr(reduction, 'reduce_mean', lambda total: 2 * total)  # the other ranks hold three times as much
        for name, value in head.loss_by_output(raw, [sample]).items():
            torch.testing.assert_close(value, alone[name] / 2)


class TestCenterHeatmapHead(AveragedOverRanks, WithoutLabels, HeadContract):
    config = dict(type='CenterHeatmapHead', codec=CODEC)

    def test_loss_by_hand(self, head):
        sample = make_sample(torch.tensor([[1, 0, 0, -1]]))
        raw = torch.tensor([0.5, -1.0, 2.0, 100.0]).view(1, 1, 1, 4)
        target = [1.0, math.exp(-1 / 8), math.exp(-4 / 8)]
        expected = 200 / 3 * (0.5**2 + (target[1] + 1) ** 2 + (2 - target[2]) ** 2)
        torch.testing.assert_close(head.loss_by_output(raw, [sample])['loss_heatmap'], torch.tensor(expected))

    def test_predictions_are_clipped(self, head):
        assert head.maps_by_output(torch.tensor([-1.0, 0.25, 3.0]))['heatmap'].tolist() == [0, 0.25, 1]

    def test_the_grouping_makes_no_difference(self, head):
        other = type(head)(codec=dict(CODEC, grouping='boxes'), in_channels=8, channels=8)
        sample = make_sample(torch.tensor([[1, 1, 0, 2]]))
        assert torch.equal(head.ideal_maps([sample], (1, 4))['heatmap'], other.ideal_maps([sample], (1, 4))['heatmap'])


class TestDistanceMapHead(AveragedOverRanks, WithoutLabels, HeadContract):
    config = dict(type='DistanceMapHead', codec=CODEC)

    def test_loss_by_hand(self, head):
        """Objects of one and of two pixels; everywhere 1/2 is predicted."""
        sample = make_sample(torch.tensor([[1, 0, 2, 2, -1]]))
        raw = torch.zeros(1, 4, 1, 5)
        # (left, right) are (.1, .1), and (.1, .3), (.3, .1); top and bottom 1/2. A mean over objects, pixels and four distances
        expected = ((0.4 + 0.4) / 4 + (0.4 + 0.2) / 4) / 2
        torch.testing.assert_close(head.loss_by_output(raw, [sample])['loss_distance'], torch.tensor(expected))

    def test_only_objects_have_gradients(self, head):
        raw = torch.randn(1, 4, 2, 3, requires_grad=True)
        head.loss_by_output(raw, [make_sample(torch.tensor([[1, 0, -1], [0, 0, 0]]))])['loss_distance'].backward()
        assert raw.grad[..., 0, 0].all() and not raw.grad[0].flatten(1)[:, 1:].any()

    def test_images_without_objects_cost_nothing(self, head):
        raw = torch.randn(1, 4, 2, 3, requires_grad=True)
        losses = head.loss_by_output(raw, [make_sample(torch.zeros(2, 3, dtype=torch.int64))])
        losses['loss_distance'].backward()
        assert losses['loss_distance'] == 0 and raw.grad is not None and not raw.grad.any()

    def test_distances_are_shares(self, head):
        maps = head.maps_by_output(100 * torch.randn(1, 4, 5, 5))['distance']
        assert maps.min() >= 0 and maps.max() <= 1


class TestBinaryMaskHead(AveragedOverRanks, WithoutLabels, HeadContract):
    config = dict(type='BinaryMaskHead')

    def test_loss_by_hand(self, head):
        raw = torch.tensor([2.0, 2.0, 0.0, 50.0]).view(1, 1, 1, 4)
        expected = (2 * math.log1p(math.exp(-2)) + 2 * 0 + math.log(2) + 2) / 3  # log(1 + e^2) = 2 + log(1 + e^-2)
        losses = head.loss_by_output(raw, [make_sample(torch.tensor([[1, 0, 2, -1]]))])
        torch.testing.assert_close(losses['loss_mask'], torch.tensor(expected))

    def test_probabilities(self, head):
        torch.testing.assert_close(head.maps_by_output(torch.tensor([0.0, 2.0]))['mask_prob'], torch.tensor([0.5, 0.880797]))
        ideal = head.ideal_maps([make_sample(torch.tensor([[2, 0, 1, -1]]))], (1, 4))['mask_prob']
        assert ideal.flatten().tolist() == [1, 0, 1, 0]


@pytest.mark.parametrize('name', ['CenterHeatmapHead', 'DistanceMapHead'])
def test_padding_is_not_the_image(name):
    """Targets of an image are the same beside its padding."""
    head = MODELS.build(dict(type=name, codec=CODEC, in_channels=8, channels=8))
    sample = make_sample(torch.tensor([[1, 1, 0, 2]] * 3))
    alone = head.ideal_maps([sample], (3, 4))
    sample.gt_instance_map = sample.gt_instance_map.pad((5, 9))
    for key, value in head.ideal_maps([sample], (5, 9)).items():
        torch.testing.assert_close(value[..., :3, :4], alone[key])
