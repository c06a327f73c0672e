import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from mmengine.structures import PixelData

from mmext_instseg.registry import MODELS


def make(**kwargs):
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(dict(type='DepthHead', in_channels=4, channels=4, **kwargs))


def sample_of(depth: torch.Tensor, **metainfo) -> DetDataSample:
    sample = DetDataSample(metainfo=dict(img_path='a.png', **metainfo))
    sample.gt_depth_map = PixelData(data=depth[None])
    return sample


def test_metric_depth_is_a_sigmoid_times_the_maximum():
    head = make(max_depth=8.0)
    raw = torch.tensor([0.0, 100.0, -100.0]).view(1, 1, 1, 3)
    assert head.maps_by_output(raw)['depth'].flatten().tolist() == [4.0, 8.0, 0.0]
    losses = head.loss_by_output(raw[..., :1], [sample_of(torch.tensor([[2.0]]))])
    d = torch.log(torch.tensor(2.0))  # Eq. 9 of one pixel: d^2 - d^2 / 2
    torch.testing.assert_close(losses['loss_depth'], d**2 / 2)


def test_relative_depth_is_the_output_itself_and_its_scale_is_free():
    head = make(kind='relative')
    raw = torch.tensor([1.0, 2.0, 4.0, 8.0]).view(1, 1, 1, 4)
    assert torch.equal(head.maps_by_output(raw)['depth'], raw)
    assert head.loss_by_output(raw, [sample_of(10 * raw[0, 0] + 3)])['loss_depth'] < 1e-6
    assert head.loss_by_output(raw, [sample_of(raw[0, 0].flip(1))])['loss_depth'] > 0.5


@pytest.mark.parametrize('kind', ['metric', 'relative'])
@pytest.mark.parametrize('autocast', [False, True])
def test_without_depth_the_loss_is_zero_and_touches_every_parameter(kind, autocast):
    head = make(kind=kind)
    for samples in ([DetDataSample(), DetDataSample()], [sample_of(torch.zeros(9, 7)), DetDataSample()]):
        head.zero_grad()
        with torch.autocast('cpu', dtype=torch.bfloat16, enabled=autocast):
            losses = head.loss((torch.randn(2, 4, 5, 6),), samples)
        assert losses['loss_depth'] == 0 and losses['loss_depth'].dtype == torch.float32
        losses['loss_depth'].backward()
        assert all(parameter.grad is not None and not parameter.grad.any() for parameter in head.parameters())


@pytest.mark.parametrize('kind', ['metric', 'relative'])
def test_images_without_depth_change_nothing(kind):
    head = make(kind=kind).eval()
    feats, sample = torch.randn(2, 4, 5, 6), sample_of(torch.rand(10, 12) + 0.5)
    alone = head.loss((feats[:1],), [sample])['loss_depth']
    torch.testing.assert_close(head.loss((feats,), [sample, DetDataSample()])['loss_depth'], alone)


def test_target_is_resized_at_pixel_centres_and_ideal():
    head = make()
    ideal = head.ideal_maps([sample_of(torch.arange(6.0).view(1, 6)), DetDataSample()], (1, 4))['depth']
    assert ideal.flatten().tolist() == [0, 2, 3, 5, 0, 0, 0, 0]


def test_the_other_kind_of_depth_is_refused():
    head = make(kind='relative')
    with pytest.raises(ValueError, match=r"a\.png: its depth is metric, DepthHead\.kind is 'relative'"):
        head.loss((torch.randn(1, 4, 5, 6),), [sample_of(torch.ones(5, 6), depth_kind='metric')])
    with pytest.raises(ValueError, match="kind must be 'relative' or 'metric', not 'inverse'"):
        make(kind='inverse')
