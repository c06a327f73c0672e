import copy

import pytest
import torch
from head_contract import scene
from mask_head_contract import MaskHeadContract, annotations, build, excite, make_sample, pyramid, small_config
from mmdet.structures import DetDataSample
from mmdet.structures.mask import PolygonMasks
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from torch import nn

from mmext_instseg.models.heads import aml_solov2_head
from mmext_instseg.models.heads.aml_solov2_head import dynamic_conv, flatten_levels
from mmext_instseg.models.losses import reduction
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


class TestCSMF(MaskHeadContract):
    config = small_config(mask_feature_head=dict(type='CSMF', feat_channels=8, out_channels=8, norm_cfg=dict(type='GN', num_groups=2)))


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


def test_a_mask_heads_map_comes_bare_or_in_a_tuple():
    head = build(TestOtherMaskHead.config)
    feats = head(pyramid(64, 64))[2]
    bare = head.mask_feature_head.forward
    head.mask_feature_head.forward = lambda x: (bare(x),)
    assert torch.equal(head(pyramid(64, 64))[2], feats)
    head.mask_feature_head.forward = lambda x: (bare(x), bare(x))
    with pytest.raises(ValueError, match='too many values'):
        head(pyramid(64, 64))


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


@pytest.mark.parametrize(
    ('ori_shape', 'changes'),
    [
        ((60, 90), {}),
        ((45, 71), dict(mask_thr=0.3)),
        ((120, 180), dict(sigma=0.5)),
        ((60, 90), dict(kernel='linear')),
        ((60, 90), dict(filter_thr=0.3)),
        ((60, 90), dict(nms_pre=-1, filter_thr=-1, max_per_img=-1)),
    ],
)
def test_results_equal_mmdets(pair, ori_shape, changes):
    sample = make_sample(scene('one', 60, 90), (64, 96))
    sample.set_metainfo(dict(ori_shape=ori_shape))
    results = []
    for head in map(copy.deepcopy, pair):
        head.test_cfg.update(changes)
        results += head.predict(pyramid(64, 96, num=1), [sample], rescale=True)
    theirs, ours = results
    assert len(ours) == len(theirs) > 20
    torch.testing.assert_close(ours.scores, theirs.scores)
    assert torch.equal(ours.labels, theirs.labels) and torch.equal(ours.masks, theirs.masks)
    assert torch.equal(ours.bboxes, mask_boxes(ours.masks)) and (ours.bboxes[:, 2:] > ours.bboxes[:, :2]).all()


@pytest.mark.parametrize('meta', [dict(img_shape=(20, 20), ori_shape=(40, 40)), dict(img_shape=(64, 96), ori_shape=(4, 6))])
def test_masks_without_a_pixel_in_the_image_are_dropped(pair, meta):
    """All in the padding, or lost when the image shrinks; mmdet keeps them."""
    sample = make_sample(scene('one', *meta['img_shape']), (64, 96))
    sample.set_metainfo(meta)
    results = []
    for head in map(copy.deepcopy, pair):
        head.test_cfg.update(score_thr=0.0, filter_thr=-1)
        results += head.predict(pyramid(64, 96, num=1), [sample], rescale=True)
    theirs, ours = results
    theirs = theirs[theirs.masks.flatten(1).any(dim=1)]
    assert 0 < len(theirs) < len(results[0])
    assert torch.equal(ours.masks, theirs.masks) and torch.equal(ours.labels, theirs.labels)
    torch.testing.assert_close(ours.scores, theirs.scores)
    assert (ours.bboxes[:, 2:] > ours.bboxes[:, :2]).all()


def test_annotations_without_boxes():
    head, feats = build(small_config()), pyramid(64, 64, num=1)
    with_boxes, without = crossing_sample(), crossing_sample()
    del without.gt_instances.bboxes
    assert head.loss(feats, [without]) == head.loss(feats, [with_boxes])


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


@pytest.mark.parametrize(('weight', 'mask_loss'), [(3.0, 0.0), (1.0, 1 - 8 / 48)])
def test_lambda_takes_part_in_the_selection(weight, mask_loss):
    """The kernels draw the first bar, the class logits say the second.

    L_cate: 1/16 ln 2 + 0.75 * 0.9^2 ln 10 = 1.44 and 3/16 ln 2 + 0.25 * 0.1^2 ln(10/9) = 0.13; L_mask: 0 and 40/48. Eq. 3 with lambda 3:
    0.81 + 0.5 and 0.53 + 0.92; with lambda 1: 0.81 + 0.5 and 0.53 + 0.70.
    """
    mask_head = dict(feat_channels=8, start_level=0, end_level=3, out_channels=2, mask_stride=4)
    head = build(small_config(mask_feature_head=mask_head, loss_mask=PLAIN['loss_mask'] | dict(loss_weight=weight)))
    kernels, _, feats = crossing_predictions(head, 0)
    logits = torch.tensor([0.5, 0.9, 1e-6]).logit()[None, :, None, None]
    losses = head.loss_by_feat(kernels, [logits.repeat(1, 1, g, g) for g in head.num_grids], feats, [annotations(crossing())], [{}])
    torch.testing.assert_close(losses['loss_mask'], torch.tensor(mask_loss), rtol=0, atol=1e-3)


def test_literal_loss_trains_on_equation_3():
    mask_head = dict(feat_channels=8, start_level=0, end_level=3, out_channels=2, mask_stride=4)
    head, literal = (build(small_config(mask_feature_head=mask_head, literal_loss=flag)) for flag in (False, True))
    kernels, classes, feats = crossing_predictions(head, 0)
    gt = annotations(crossing())
    default, papers = (one.loss_by_feat(kernels, classes, feats, [gt], [{}]) for one in (head, literal))
    torch.testing.assert_close(papers['loss_mask'], torch.tensor(0.5), rtol=1e-6, atol=0)  # sigmoid(0)
    # focal loss at logit 0: 0.25 * ln 2 times alpha for the label's channel, 1 - alpha for the others
    ln2 = torch.tensor(2.0).log()
    background, positive = 3 * 0.75 * 0.25 * ln2, (0.25 + 2 * 0.75) * 0.25 * ln2
    torch.testing.assert_close(default['loss_cls'], (352 * background + 8 * positive) / 9)
    torch.testing.assert_close(papers['loss_cls'], (352 * background + 8 * positive.sigmoid()) / 9)


def test_background_is_a_class_of_its_own():
    """With every logit 0 and no instance, all cells of all classes cost (1 - alpha) / 4 ln 2, and nothing else is lost."""
    head = build(small_config())
    maps = [[torch.zeros(1, channels, g, g) for g in head.num_grids] for channels in (8, 3)]
    losses = head.loss_by_feat(*maps, torch.zeros(1, 8, 16, 16), [annotations(torch.zeros(0, 64, 64, dtype=torch.bool))], [{}])
    torch.testing.assert_close(losses['loss_cls'], 360 * 3 * 0.75 * 0.25 * torch.tensor(2.0).log())
    assert losses['loss_mask'] == 0


def test_the_loss_of_one_instance_does_not_depend_on_a_crowd_region_beside_it():
    ids = scene('one', 64, 96)
    with_crowd = ids.clone()
    with_crowd[:, 64:] = -1
    head = excite(build(small_config()))
    plain, crowded = (head.loss(pyramid(64, 96, num=1), [make_sample(one)]) for one in (ids, with_crowd))
    assert crowded['loss_cls'] < plain['loss_cls'] and crowded['loss_mask'] < plain['loss_mask']  # random masks reach into the region
    for extra in ([], [1]):  # a crowd region under the instance yields to it
        sample = make_sample(ids)
        sample.ignored_instances = annotations((ids == 1)[None].repeat(len(extra), 1, 1))
        assert head.loss(pyramid(64, 96, num=1), [sample]) == plain


def test_an_instance_around_a_crowd_region_keeps_its_cells():
    """A frame, from 16 to 48, with nothing but a crowd region inside, from 20 to 44, where all its cells are."""
    masks = torch.zeros(2, 64, 64, dtype=torch.bool)
    masks[0, 16:48, 16:48] = masks[1, 20:44, 20:44] = True
    masks[0] &= ~masks[1]
    head = build(small_config())
    kernels, classes = ([torch.zeros(1, channels, g, g, requires_grad=True) for g in head.num_grids] for channels in (8, 3))
    losses = head.loss_by_feat(kernels, classes, torch.zeros(1, 8, 16, 16), [annotations(masks[:1])], [{}], [annotations(masks[1:])])
    losses['loss_cls'].backward()
    spans = ((10, (4, 5)), (8, (3, 4)), (6, (2, 3)))  # as of the square in test_solo_targets.py
    for level, (grid, span) in zip(classes[1:4], spans, strict=True):
        assert level.grad.shape[-1] == grid and (level.grad[0, 0, span][:, span] < 0).all()
    assert (classes[0].grad[0, :, 4:8, 4:8] == 0).all()  # it has no cells on level 0


def test_both_losses_are_divided_by_the_mean_of_the_ranks(monkeypatch):
    head, feats, samples = excite(build(small_config())), pyramid(64, 96, num=1), [make_sample(scene('one', 64, 96))]
    alone = head.loss(feats, samples)
    monkeypatch.setattr(reduction, 'reduce_mean', lambda number: (number + 15) / 2)  # 5 cells here, 15 on the other rank
    together = head.loss(feats, samples)
    torch.testing.assert_close(together['loss_mask'], alone['loss_mask'] * 5 / 10)
    torch.testing.assert_close(together['loss_cls'], alone['loss_cls'] * 6 / 11)


@pytest.fixture
def decoded(monkeypatch):
    """How many masks are decoded and whether for a gradient, one entry a call."""
    calls = []

    def counting(kernels, feats, size):
        calls.append((len(kernels), torch.is_grad_enabled()))
        return dynamic_conv(kernels, feats, size)

    monkeypatch.setattr(aml_solov2_head, 'dynamic_conv', counting)
    return calls


def test_the_best_are_chosen_before_masks_are_decoded(pair, decoded):
    head = copy.deepcopy(pair[1])
    sample, feats = make_sample(scene('one', 64, 96)), pyramid(64, 96, num=1)
    (everything,) = head.predict(feats, [sample])
    head.test_cfg.nms_pre = 7
    (best,) = head.predict(feats, [sample])
    assert decoded[0][0] > 100 and decoded[1][0] == 7 and 0 < len(best) <= 7 < len(everything)


def test_matching_decodes_contested_cells_alone_in_bounded_pieces(monkeypatch, decoded):
    head = excite(build(small_config()))
    feats = pyramid(64, 64, num=1)
    head.loss(feats, [make_sample(scene('one', 64, 64))])
    assert decoded == [(6, True)]  # nothing to compare, only the positive cells
    decoded.clear()
    whole = head.loss(feats, [crossing_sample()])
    assert decoded == [(16, False), (8, True)]
    decoded.clear()
    monkeypatch.setattr(aml_solov2_head, '_MATCHING_PIXELS', 5 * 16 * 16)
    assert head.loss(feats, [crossing_sample()]) == whole
    assert [count for count, _ in decoded] == [5, 5, 5, 1, 8]


def test_more_than_512_masks():
    head = excite(build(small_config(num_grids=[40, 36, 24, 16, 12])))
    head.test_cfg.update(nms_pre=2000, max_per_img=1000, score_thr=0.0, filter_thr=-1)
    with torch.no_grad():
        (result,) = head.predict(pyramid(64, 64, num=1), [make_sample(scene('one', 64, 64))], rescale=True)
    assert len(result) == 1000 and result.masks.shape == (1000, 64, 64)
    assert (result.scores.diff() <= 0).all()
    assert torch.equal(result.bboxes, mask_boxes(result.masks))


def test_full_frame_masks_in_half_precision():
    """90,000 pixels are more than float16 holds. Twice the same mask: the second decays by exp(-sigma)."""
    head = build(small_config(num_classes=1))
    kernels, classes = ([torch.zeros(1, channels, g, g) for g in head.num_grids] for channels in (8, 1))
    kernels[0][:, 0], classes[0][:] = 1, -20
    classes[0][0, 0, 3, 3], classes[0][0, 0, 8, 8] = 4, 3
    feats = torch.full((1, 8, 300, 300), 30.0)
    meta = dict(img_shape=(1200, 1200), ori_shape=(30, 30))
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast('cpu', dtype=dtype):
            halves = [[one.to(dtype) for one in maps] for maps in (kernels, classes)]
            (result,) = head.predict_by_feat(*halves, feats.to(dtype), [meta])
        expected = torch.tensor([4.0, 3.0]).sigmoid() * torch.tensor([1.0, torch.tensor(-2.0).exp()])
        torch.testing.assert_close(result.scores, expected)
        assert result.masks.all() and result.bboxes.tolist() == [[0, 0, 30, 30]] * 2


def test_mmdets_losses_get_float32_from_half_precision():
    """Dice adds up the 90,000 pixels of a mask that fits; every class logit is 0, and 4 of 360 cells are positive."""
    mask_head = dict(feat_channels=8, start_level=0, end_level=3, out_channels=2, mask_stride=1)
    head = build(small_config(mask_feature_head=mask_head, **PLAIN))
    kernels, classes = ([torch.zeros(1, channels, g, g, dtype=torch.float16) for g in head.num_grids] for channels in (2, 3))
    for level in kernels:
        level[:, 0] = 1
    feats = torch.full((1, 2, 300, 300), 30.0, dtype=torch.float16)
    losses = head.loss_by_feat(kernels, classes, feats, [annotations(torch.ones(1, 300, 300, dtype=torch.bool))], [{}])
    torch.testing.assert_close(losses['loss_mask'], torch.tensor(0.0), atol=1e-6, rtol=0)
    expected = (356 * 3 * 0.75 + 4 * (0.25 + 2 * 0.75)) * 0.25 * torch.tensor(2.0).log() / 5
    torch.testing.assert_close(losses['loss_cls'], expected)


@pytest.mark.parametrize(('pixels', 'num'), [(4, 0), (5, 1), (8, 1), (9, 2)])
def test_a_mask_no_larger_than_its_stride_is_dropped(pixels, num):
    head = build(small_config(num_classes=1))
    kernels, classes = ([torch.zeros(1, channels, g, g) for g in head.num_grids] for channels in (8, 1))
    feats = torch.full((1, 8, 16, 16), -9.0)
    feats[0, 0, 0, :pixels] = 9.0
    for level in range(2):  # strides 4 and 8
        kernels[level][:, 0], classes[level][:], classes[level][0, 0, 4, 4] = 1, -9, 2
    (result,) = head.predict_by_feat(kernels, classes, feats, [dict(img_shape=(64, 64), ori_shape=(64, 64))])
    assert result.bboxes.tolist() == [[0, 0, 4 * pixels, 4]] * num  # bilinear, cut in the middle between two pixels of logits +-9
    best = torch.tensor(2.0).sigmoid() * torch.tensor(9.0).sigmoid()
    torch.testing.assert_close(result.scores, torch.stack([best, best * torch.tensor(-2.0).exp()])[:num])  # the second repeats the first


def test_dynamic_convolution_is_a_convolution():
    generator = torch.Generator().manual_seed(0)
    feats, kernels = torch.randn(4, 6, 7, generator=generator), torch.randn(3, 36, generator=generator)
    expected = nn.functional.conv2d(feats[None], kernels.view(3, 4, 3, 3), padding=1)[0]
    torch.testing.assert_close(dynamic_conv(kernels, feats, 3), expected)
    torch.testing.assert_close(dynamic_conv(kernels[:, :4], feats), nn.functional.conv2d(feats[None], kernels[:, :4, None, None])[0])
    assert dynamic_conv(kernels[:0], feats, 3).shape == (0, 6, 7)


def test_nothing_but_the_head_says_num_classes():
    """mmdet's NumClassCheckHook compares every `num_classes` with the data set's."""
    head = build(small_config())
    assert [module.num_classes for module in head.modules() if hasattr(module, 'num_classes')] == [3]


def test_misuse_is_named():
    with pytest.raises(ValueError, match="'best'"):
        build(small_config(matching='best'))
    with pytest.raises(ValueError, match='odd'):
        build(small_config(dynamic_conv_size=2))
    with pytest.raises(ValueError, match='in_channels=16'):
        build(small_config(mask_feature_head=small_config()['mask_feature_head'] | dict(in_channels=16)))
    with pytest.raises(ValueError, match='5 strides but got 4'):
        build(small_config())(pyramid(64, 64)[:4])


def test_in_mmdets_detector_with_its_preprocessor_and_polygons():
    model = build(
        dict(
            type='SOLOv2',
            data_preprocessor=dict(type='DetDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3, pad_mask=True, pad_size_divisor=32),
            backbone=dict(type='ResNet', depth=18, base_channels=4),
            neck=dict(type='FPN', in_channels=[4, 8, 16, 32], out_channels=8, num_outs=5),
            mask_head={name: value for name, value in small_config().items() if name != 'test_cfg'},
            test_cfg=small_config()['test_cfg'],
        )
    )
    model.init_weights()
    square, empty = ([8, 8, 40, 8, 40, 40, 8, 40],), ()
    samples = []
    for polygons in (square, empty):
        sample = DetDataSample(metainfo=dict(img_shape=(50, 70), ori_shape=(100, 140)))
        masks = PolygonMasks([[torch.tensor(one, dtype=torch.float32).numpy() for one in polygons]][: len(polygons)], 50, 70)
        boxes = torch.tensor([[8.0, 8, 40, 40]])[: len(polygons)]
        sample.gt_instances = InstanceData(bboxes=boxes, labels=torch.zeros(len(boxes), dtype=torch.int64), masks=masks)
        samples.append(sample)
    data = dict(inputs=[torch.zeros(3, 50, 70, dtype=torch.uint8)] * 2, data_samples=samples)
    losses = model(**model.data_preprocessor(copy.deepcopy(data), training=True), mode='loss')
    total, _ = model.parse_losses(losses)
    total.backward()
    assert all(one.grad is not None and torch.isfinite(one.grad).all() for one in model.mask_head.parameters())
    excite(model.mask_head)
    for result in model.eval().test_step(data):
        assert len(result.pred_instances) > 0 and result.pred_instances.masks.shape[1:] == (100, 140)
