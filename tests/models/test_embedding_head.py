import pytest
import torch
from head_contract import HeadContract, WithoutLabels, make_sample
from torch import nn

from mmext_instseg.engine.benchmark.embedding_loops import discriminative_loop
from mmext_instseg.registry import MODELS

CODEC = dict(type='EmbeddingCodec', dims=6)


class TestEmbeddingHead(WithoutLabels, HeadContract):
    config = dict(type='EmbeddingHead', codec=CODEC, num_convs=1)

    def test_losses_by_hand(self, head):
        """Two objects of two pixels: distances 2 and 0 from their means, which are 1 apart; the rest doesn't count."""
        raw = torch.zeros(1, 6, 1, 6)
        raw[0, 0, 0] = torch.tensor([-2.0, 2.0, 1.0, 1.0, 7.0, 7.0])
        losses = head.loss_by_output(raw, [make_sample(torch.tensor([[1, 1, 2, 2, 0, -1]]))])
        torch.testing.assert_close(losses, {'loss_var': torch.tensor(0.5 * 1.5**2 / 2), 'loss_dist': torch.tensor(0.5 * 1.0)})

    def test_ideal_maps_cost_nothing(self, head):
        sample = make_sample(torch.tensor([[1, 1, 2, 2, 3, 3, 0, -1]]).repeat(6, 1))
        losses = head.loss_by_output(head.ideal_maps([sample], (6, 8))['embedding'], [sample])
        assert all(value == 0 for value in losses.values())

    def test_instances_are_sampled_at_the_size_of_the_map(self, head):
        sample = make_sample(torch.arange(12 * 16).view(12, 16) // 64 + 1)
        raw = torch.randn(1, 6, 6, 8)
        ids = sample.gt_instance_map.resize((6, 8)).ids[None]
        expected = discriminative_loop(raw, ids, [3])
        for name, value in head.loss_by_output(raw, [sample]).items():
            torch.testing.assert_close(value, 0.5 * expected[name])

    def test_dims_are_the_codecs(self, head):
        assert type(head)(codec=CODEC, dims=6, in_channels=8).project.out_channels == 6
        with pytest.raises(ValueError, match=r"EmbeddingCodec has the maps \{'embedding': 6\}, not one embedding of 32 channels"):
            type(head)(codec=CODEC, dims=32, in_channels=8)
        with pytest.raises(ValueError, match='DCMECodec has the maps'):
            type(head)(codec=dict(type='DCMECodec'), in_channels=8)


class TestAsInThePaper(WithoutLabels, HeadContract):
    """A single 1x1 convolution."""

    config = dict(type='EmbeddingHead', codec=CODEC)

    def test_one_convolution(self, head):
        assert [type(module) for module in head.modules() if isinstance(module, nn.Conv2d)] == [nn.Conv2d]
        assert head.project.kernel_size == (1, 1)


@pytest.mark.parametrize('loss', ['ContrastiveEmbeddingLoss', 'TripletEmbeddingLoss', 'CenterEmbeddingLoss'])
class TestAlternatives(WithoutLabels, HeadContract):
    @pytest.fixture(autouse=True)
    def choose(self, loss):
        self.config = dict(type='EmbeddingHead', codec=CODEC, num_convs=1, loss_instance=dict(type=loss))

    def test_lambda(self, head):
        sample, raw = make_sample(torch.arange(24).view(4, 6) // 8 + 1), torch.randn(1, 6, 4, 6)
        half = head.loss_by_output(raw, [sample])
        head.loss_weight = 1.0
        for name, value in head.loss_by_output(raw, [sample]).items():
            torch.testing.assert_close(half[name], value / 2)


@pytest.mark.parametrize('name', ['delta_var', 'delta_dist'])
def test_loss_and_codec_have_the_same_thresholds(name):
    config = dict(type='EmbeddingHead', in_channels=4, codec=dict(type='EmbeddingCodec', dims=4))
    value = {'delta_var': 0.3, 'delta_dist': 1.5}[name]
    with pytest.raises(ValueError, match=rf'{name} is {value} in loss_instance'):
        MODELS.build(dict(config, loss_instance={'type': 'DiscriminativeLoss', name: value}))
    config['codec'][name] = value
    MODELS.build(dict(config, loss_instance={'type': 'DiscriminativeLoss', name: value}))
