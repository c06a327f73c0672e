import pytest
import torch
from head_contract import scene
from mask_head_contract import MaskHeadContract, annotations, build, excite, make_sample, pyramid, small_config
from mmdet.structures import DetDataSample
from mmengine.model import BaseModule
from torch import nn

from mmext_instseg.models.heads.aml_solov2_head import flatten_levels
from mmext_instseg.ops import mask_boxes

PLAIN = dict(matching='none', loss_mask=dict(type='DiceLoss', use_sigmoid=True, loss_weight=3.0))


class FirstMapMaskHead(BaseModule):
    """A mask head from a config with `type`: reads the first map, whatever comes after."""

    mask_stride = 4

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.conv = nn.Conv2d(in_channels, out_channels, 1)

    def forward(self, x):
        self.num_inputs = len(x)
        return self.conv(x[0])


class TestMinimum(MaskHeadContract):
    config = small_config()


class TestLiteral(MaskHeadContract):
    config = small_config(literal_loss=True)


class TestPlain(MaskHeadContract):
    config = small_config(**PLAIN)


class TestOtherMaskHead(MaskHeadContract):
    config = small_config(mask_feature_head=dict(type=FirstMapMaskHead, out_channels=6), dynamic_conv_size=3)

    def test_sizes_that_no_stride_divides(self, head):
        losses = self.loss_of(head, ['one', 'overlapping'], (37, 53))
        assert all(torch.isfinite(value) for value in losses.values())
        (result,) = excite(head).predict(pyramid(37, 53, num=1), [make_sample(scene('one', 37, 53))])
        assert result.masks.shape == (len(result), 37, 53)

    def test_gets_all_inputs(self, head):
        maps = pyramid(64, 64)
        kernels, classes, feats = head((*maps, maps[0], maps[1]))
        assert head.mask_feature_head.num_inputs == 7
        assert [tuple(one.shape) for one in kernels] == [(2, 54, g, g) for g in (12, 10, 8, 6, 4)]
        assert [tuple(one.shape) for one in classes] == [(2, 3, g, g) for g in (12, 10, 8, 6, 4)]
        assert feats.shape == (2, 6, 16, 16)


@pytest.fixture(scope='module')
def pair():
    """mmdet's head and ours with one state dict."""
    theirs, ours = excite(build(small_config(type='SOLOV2Head', loss_mask=PLAIN['loss_mask']))), build(small_config(**PLAIN))
    ours.load_state_dict(theirs.state_dict())
    return theirs.eval(), ours.eval()


def crossing(height: int = 64, width: int = 64) -> torch.Tensor:
    """Two bars, (2, H, W), with one centre."""
    masks = torch.zeros(2, height, width, dtype=torch.bool)
    masks[0, height // 2 - 4 : height // 2 + 4, 8 : width - 8] = True
    masks[1, 8 : height - 8, width // 2 - 4 : width // 2 + 4] = True
    return masks


def crossing_sample() -> DetDataSample:
    shape = (64, 64)
    sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, batch_input_shape=shape))
    sample.gt_instances = annotations(crossing())
    return sample


def test_raw_outputs_equal_mmdets(pair):
    theirs, ours = (head(pyramid(64, 96)) for head in pair)
    for a, b in zip([*theirs[0], *theirs[1], theirs[2]], [*ours[0], *ours[1], ours[2]], strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize('kinds', [['one', 'one'], ['none', 'overlapping'], ['six hundred', 'one']])
def test_losses_and_gradients_equal_mmdets(pair, kinds):
    gradients = []
    for head in pair:
        head.zero_grad()
        losses = head.loss(pyramid(64, 96), [make_sample(scene(kind, 64, 96)) for kind in kinds])
        sum(losses.values()).backward()
        gradients.append([losses['loss_mask'], losses['loss_cls'], *(one.grad for one in head.parameters())])
    for a, b in zip(*gradients, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_losses_equal_mmdets_where_cells_are_contested_too(pair):
    theirs, ours = (head.loss(pyramid(64, 64, num=1), [crossing_sample()]) for head in pair)
    assert theirs.keys() == ours.keys()
    for name, value in theirs.items():
        torch.testing.assert_close(ours[name], value)


@pytest.mark.parametrize('ori_shape', [(60, 90), (45, 71), (120, 180)])
def test_results_equal_mmdets(pair, ori_shape):
    sample = make_sample(scene('one', 60, 90), (64, 96))
    sample.set_metainfo(dict(ori_shape=ori_shape))
    (theirs,), (ours,) = (head.predict(pyramid(64, 96, num=1), [sample], rescale=True) for head in pair)
    assert len(ours) == len(theirs) > 20
    torch.testing.assert_close(ours.scores, theirs.scores)
    assert torch.equal(ours.labels, theirs.labels) and torch.equal(ours.masks, theirs.masks)
    assert torch.equal(ours.bboxes, mask_boxes(ours.masks)) and (ours.bboxes[:, 2:] > ours.bboxes[:, :2]).any()


def test_without_rescale_masks_have_the_size_of_the_network_input(pair):
    sample = make_sample(scene('one', 60, 90), (64, 96))
    sample.set_metainfo(dict(ori_shape=(120, 180)))
    (result,) = pair[1].predict(pyramid(64, 96, num=1), [sample], rescale=False)
    assert result.masks.shape[1:] == (60, 90)


def crossing_predictions(head, favourite: int):
    """Kernels that draw one of the two bars wherever they are asked, class logits 0; mask features draw the bars."""
    feats = (crossing()[None, :, 1::4, 1::4].float() * 2 - 1) * 20
    kernels = [torch.zeros(1, 2, g, g) for g in head.num_grids]
    for level in kernels:
        level[:, favourite] = 1
    classes = [torch.zeros(1, 3, g, g, requires_grad=True) for g in head.num_grids]
    return kernels, classes, feats


@pytest.mark.parametrize('favourite', [0, 1])
def test_a_contested_cell_is_trained_on_the_minimum_alone(favourite):
    mask_head = dict(feat_channels=8, start_level=0, end_level=3, out_channels=2, mask_stride=4)
    aml, plain = (build(small_config(mask_feature_head=mask_head, **kind)) for kind in ({}, PLAIN))
    theirs = build(small_config(type='SOLOV2Head', mask_feature_head=mask_head))
    gt = annotations(crossing())
    masks, labels, _, index = theirs._get_targets_single(gt, featmap_sizes=(16, 16))
    # 48 x 8 pixels: sqrt(area) 19.6, level 1 of 10 x 10 cells and 2 of 8 x 8; around 31.5, 4.8 to both sides along the bar and 0.8
    # across touch the cells 4, 5 and 3, 4 each way
    assert [sorted(level) for level in index] == [[], sorted(2 * [44, 45, 54, 55]), sorted(2 * [27, 28, 35, 36]), [], []]
    assert masks[1].flatten(1).unique(dim=0).shape[0] == 2  # mmdet trains each of these kernels on both masks
    assert labels[1].unique().tolist() == [1, 3]  # and labels them all with the last one

    kernels, classes, feats = crossing_predictions(aml, favourite)
    losses = aml.loss_by_feat(kernels, classes, feats, [gt], [{}])
    losses['loss_cls'].backward()
    gradient = flatten_levels([level.grad for level in classes])
    shared = torch.tensor([*(144 + cell for cell in (44, 45, 54, 55)), *(244 + cell for cell in (27, 28, 35, 36))])
    expected = torch.ones(360, 3)
    expected[shared, favourite] = -1
    assert torch.equal(gradient.sign(), expected)
    torch.testing.assert_close(losses['loss_mask'], torch.tensor(0.0), atol=1e-6, rtol=0)
    # at stride 4 the bars have 24 pixels and share 4: SOLOv2's Dice of the other one is 8 / 48
    ours = plain.loss_by_feat(kernels, classes, feats, [gt], [{}])
    torch.testing.assert_close(ours['loss_mask'], torch.tensor(3 * (1 - 8 / 48)), rtol=1e-4, atol=0)
