"""The contract of a head in mmdet's SOLOv2 detector, in the spirit of `HeadContract` and on its scenes."""

import pytest
import torch
from head_contract import scene
from mmdet.structures import DetDataSample
from mmdet.structures.mask import BitmapMasks
from mmengine.config import ConfigDict
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from operations import training_operations

from mmext_instseg.ops import mask_boxes
from mmext_instseg.registry import MODELS

STRIDES = (4, 8, 16, 32, 64)


def annotations(masks: torch.Tensor, num_labels: int = 3) -> InstanceData:
    """Ground truth of masks (K, H, W) bool, labels in turn."""
    bitmaps = BitmapMasks(masks.numpy().astype('uint8'), *masks.shape[1:])
    return InstanceData(bboxes=mask_boxes(masks), labels=torch.arange(len(masks)) % num_labels, masks=bitmaps)


def make_sample(ids: torch.Tensor, padded: tuple[int, int] | None = None) -> DetDataSample:
    """A sample of an id map; id -1 is one crowd region."""
    shape = tuple(ids.shape)
    sample = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=shape, batch_input_shape=padded or shape))
    sample.gt_instances = annotations(ids == torch.arange(1, int(ids.max().clamp(min=0)) + 1)[:, None, None])
    sample.ignored_instances = annotations((ids == -1)[None][: int((ids == -1).any())])
    return sample


def pyramid(height: int, width: int, num: int = 2, channels: int = 8) -> tuple[torch.Tensor, ...]:
    """Features of `num` images (height, width)."""
    generator = torch.Generator().manual_seed(1)
    return tuple(torch.randn(num, channels, -(-height // s), -(-width // s), generator=generator) for s in STRIDES)


def small_config(**overrides) -> dict:
    norm = dict(type='GN', num_groups=2)
    config = dict(
        type='AMLSOLOV2Head',
        num_classes=3,
        in_channels=8,
        feat_channels=8,
        stacked_convs=1,
        strides=STRIDES,
        scale_ranges=((1, 16), (8, 32), (16, 64), (32, 128), (64, 512)),
        num_grids=[12, 10, 8, 6, 4],
        mask_feature_head=dict(feat_channels=8, start_level=0, end_level=3, out_channels=8, mask_stride=4, norm_cfg=norm),
        norm_cfg=norm,
        test_cfg=dict(nms_pre=500, score_thr=0.1, mask_thr=0.5, filter_thr=0.05, kernel='gaussian', sigma=2.0, max_per_img=100),
    )
    return config | overrides


def build(config: dict) -> torch.nn.Module:
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        return MODELS.build(ConfigDict(config))


def excite(head: torch.nn.Module) -> torch.nn.Module:
    """Weights large enough that an untrained head finds something."""
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)
    return head


class MaskHeadContract:
    """Set `config`."""

    config: dict

    @pytest.fixture
    def head(self):
        head = build(self.config)
        head.init_weights()
        return head

    def loss_of(self, head, kinds: list[str], image=(64, 96), padded=None) -> dict[str, torch.Tensor]:
        feats = pyramid(*(padded or image), num=len(kinds))
        return head.loss(feats, [make_sample(scene(kind, *image), padded) for kind in kinds])

    @pytest.mark.parametrize('kind', ['none', 'one', 'overlapping', 'six hundred', 'ignored'])
    def test_losses_are_finite_with_the_same_keys_and_reach_every_parameter(self, head, kind):
        losses = self.loss_of(head, [kind, kind])
        assert set(losses) == {'loss_mask', 'loss_cls'}
        assert all(torch.isfinite(value) for value in losses.values())
        sum(losses.values()).backward()
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name

    def test_ignored_pixels_cost_nothing(self, head):
        assert all(value == 0 for value in self.loss_of(head, ['ignored', 'ignored']).values())

    def test_the_losses_of_a_batch_are_those_of_its_images(self, head):
        """A crowd region in the second image alone; 'one' claims 1 cell of level 1 and 4 of level 2, in both."""
        excite(head)
        ids, feats = scene('one', 64, 96), pyramid(64, 96)
        crowded = ids.clone()
        crowded[:, 64:] = -1
        samples = [make_sample(ids), make_sample(crowded)]
        batch = head.loss(feats, samples)
        first, second = (head.loss(tuple(one[i : i + 1] for one in feats), samples[i : i + 1]) for i in range(2))
        torch.testing.assert_close(10 * batch['loss_mask'], 5 * (first['loss_mask'] + second['loss_mask']))
        torch.testing.assert_close(11 * batch['loss_cls'], 6 * (first['loss_cls'] + second['loss_cls']))

    def test_the_results_of_a_batch_are_those_of_its_images(self, head):
        kernels, classes, feats = excite(head)(pyramid(64, 96))
        metas = [make_sample(scene('one', 64, 96)).metainfo, dict(img_shape=(50, 70), ori_shape=(100, 140))]
        for i, result in enumerate(head.predict_by_feat(kernels, classes, feats, metas)):
            alone = ([level[i : i + 1] for level in kernels], [level[i : i + 1] for level in classes], feats[i : i + 1])
            (expected,) = head.predict_by_feat(*alone, metas[i : i + 1])
            assert len(result) > 5
            assert all(torch.equal(result[name], expected[name]) for name in ('masks', 'bboxes', 'labels', 'scores'))

    @pytest.mark.parametrize('kinds', [['none', 'none'], ['none', 'one']])
    def test_losses_get_no_empty_input_for_want_of_contested_cells(self, head, kinds):
        """mmcv's focal loss on a GPU raises on one."""
        sizes = []
        head.loss_cls.register_forward_pre_hook(lambda _, args: sizes.append(len(args[0])))
        self.loss_of(head, kinds)
        assert sizes == [2 * 360]

    def test_odd_sizes_in_a_padded_batch(self, head):
        losses = self.loss_of(head, ['one', 'none'], (37, 53), (64, 64))
        assert all(torch.isfinite(value) for value in losses.values())
        samples = [make_sample(scene('one', *shape), (64, 64)) for shape in ((37, 53), (1, 64))]
        for result, sample in zip(excite(head).predict(pyramid(64, 64), samples, rescale=True), samples, strict=True):
            assert result.masks.shape[1:] == sample.ori_shape

    def test_half_precision_gives_float32_losses_and_scores(self, head):
        reference = self.loss_of(head, ['one', 'overlapping'])
        with torch.autocast('cpu', dtype=torch.bfloat16):
            losses = self.loss_of(head, ['one', 'overlapping'])
        with torch.autocast('cpu', dtype=torch.bfloat16):  # the other one remembers the weights
            (result,) = excite(head).predict(pyramid(64, 96, num=1), [make_sample(scene('one', 64, 96))])
        for name, value in losses.items():
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, reference[name], rtol=0.05, atol=0.02)
        assert len(result) and result.scores.dtype == torch.float32

    def test_neither_work_nor_reads_grow_with_the_instances(self, head):
        few, many = (training_operations(head, lambda kind=kind: self.loss_of(head, [kind, kind])) for kind in ('sixty', 'six hundred'))
        assert few == many

    def test_results_have_the_same_types_with_and_without_instances(self, head):
        excite(head)
        sample = make_sample(scene('one', 64, 96))
        (some,) = head.predict(pyramid(64, 96, num=1), [sample])
        head.test_cfg.score_thr = 1.0
        (none,) = head.predict(pyramid(64, 96, num=1), [sample])
        assert len(some) > 0 and len(none) == 0
        for result in (some, none):
            num = len(result)
            shapes = dict(bboxes=(num, 4), labels=(num,), scores=(num,), masks=(num, 64, 96))
            types = dict(bboxes=torch.float32, labels=torch.int64, scores=torch.float32, masks=torch.bool)
            assert {name: tuple(result[name].shape) for name in shapes} == shapes
            assert {name: result[name].dtype for name in types} == types

    def test_loss_falls_when_it_is_trained(self, head):
        optimizer = torch.optim.Adam(head.parameters(), lr=0.02)
        history = []
        for _ in range(12):
            history.append(sum(self.loss_of(head, ['one', 'overlapping']).values()))
            optimizer.zero_grad()
            history[-1].backward()
            optimizer.step()
        assert history[-1] < 0.9 * history[0]
