import pytest
import torch
from head_contract import HeadContract, WithoutLabels, make_sample

CODEC = dict(type='PECentroidCodec', harmonics=3, grid=(24, 32))


class TestPECentroidHead(WithoutLabels, HeadContract):
    config = dict(type='PECentroidHead', codec=CODEC, edge=dict(d=4.0))

    def test_losses_by_hand(self, head):
        """Two objects of one pixel each; a prediction of 0 is sqrt(3) from every half code."""
        raw = torch.zeros(1, 12, 1, 4)
        losses = head.loss_by_output(raw, [make_sample(torch.tensor([[1, 2, 0, -1]]))])
        # weights: 1, 1 and 1 on the boundaries, 0 where ignored; errors sqrt(3), sqrt(3) and 0
        torch.testing.assert_close(losses['loss_code'], torch.tensor(2 * 3**0.5 / 3))
        assert losses['loss_code_tv'] == 0
        # two objects of one pixel, three pixels that count, p = exp(-6) everywhere
        p = torch.exp(torch.tensor(-6.0))
        torch.testing.assert_close(losses['loss_code_dice'], 1 - 2 * 2 * p / (2 + 6 * p))

    def test_perfect_codes_cost_nothing_but_variation(self, head):
        sample = make_sample(torch.tensor([[1, 1, 1, 2, 2, 2, 0, 0]]).repeat(6, 1))
        code = head.ideal_maps([sample], (6, 8))['centroid_code']
        losses = head.loss_by_output(code, [sample])
        assert losses['loss_code'] < 1e-6 and losses['loss_code_dice'] < 0.2
        assert losses['loss_code_tv'] > 0

    @pytest.mark.parametrize('extent', [None, (4.0, 6.0)])
    def test_a_relative_code_has_the_same_losses(self, head, extent):
        relative = type(head)(codec=dict(CODEC, relative=True), in_channels=8, channels=8, edge=dict(d=4.0))
        sample = make_sample(torch.tensor([[1, 1, 0, 2, 2, 2, 0, -1]]).repeat(6, 1))
        sample.gt_instance_map.extent = extent
        code = head.ideal_maps([sample], (6, 8))['centroid_code'] + torch.randn(1, 12, 6, 8)
        losses = head.loss_by_output(code, [sample])
        again = relative.loss_by_output(relative.codec._turn(code[0], -1, extent)[None], [sample])
        for name, value in losses.items():
            torch.testing.assert_close(again[name], value)

    def test_dice_is_for_positional_codes(self, head):
        with pytest.raises(ValueError, match='with DirectCentroidCodec set loss_dice=None'):
            type(head)(codec=dict(type='DirectCentroidCodec'), in_channels=8)


class TestWithVoidIgnored(WithoutLabels, HeadContract):
    config = dict(type='PECentroidHead', codec=dict(CODEC, void='ignore'), edge=None)

    def test_void_pixels_cost_nothing(self, head):
        raw = torch.randn(1, 12, 6, 8, requires_grad=True)
        ids = torch.tensor([[0, 0, 1, 1, 1, 2, 2, 0]]).repeat(6, 1)
        losses = head.loss_by_output(raw, [make_sample(ids)])
        assert all(value > 0 for value in losses.values())
        for value in losses.values():
            (gradient,) = torch.autograd.grad(value, raw, retain_graph=True)
            assert (gradient[0, :, ids == 0] == 0).all() and (gradient[0, :, ids > 0] != 0).any()
        assert not any(head.loss_by_output(raw, [make_sample(torch.zeros_like(ids))]).values())


class TestWithDirectCentroids(WithoutLabels, HeadContract):
    config = dict(
        type='PECentroidHead',
        codec=dict(type='DirectCentroidCodec'),
        edge=dict(d=4.0),
        loss_code=dict(type='PositionalEmbeddingLoss', parts=1),
        loss_dice=None,
    )


class TestWithBins(WithoutLabels, HeadContract):
    config = dict(
        type='PECentroidHead',
        codec=dict(type='BinnedCentroidCodec', bins=(6, 8)),
        edge=dict(d=4.0),
        loss_code=dict(type='mmdet.CrossEntropyLoss'),
        loss_tv=dict(type='TotalVariationLoss', kind='cross_entropy'),
        loss_dice=None,
    )

    def test_cross_entropy_by_hand(self, head):
        raw = torch.zeros(1, 7 + 9, 2, 2)
        losses = head.loss_by_output(raw, [make_sample(torch.tensor([[1, 1], [0, 0]]))])
        torch.testing.assert_close(losses['loss_code'], torch.log(torch.tensor(7.0 * 9.0)))
