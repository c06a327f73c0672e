"""The contract of every dense head, inherited by one test class a head."""

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.registry import DefaultScope
from operations import training_operations

from mmext_instseg.registry import MODELS
from mmext_instseg.structures import InstanceMap


def make_sample(ids: torch.Tensor, num_labels: int = 3) -> DetDataSample:
    num = int(ids.max().clamp(min=0))
    sample = DetDataSample(metainfo=dict(img_shape=tuple(ids.shape), ori_shape=tuple(ids.shape), batch_input_shape=tuple(ids.shape)))
    sample.gt_instance_map = InstanceMap.from_ids(ids.int(), torch.arange(num) % num_labels)
    return sample


STRIPES = {'sixty': 60, 'six hundred': 600}  # numbers of instances without background


def scene(kind: str, height: int, width: int) -> torch.Tensor:
    """(H, W) ids of a named situation."""
    ids = torch.zeros(height, width, dtype=torch.int64)
    if kind == 'one':
        ids[height // 4 : height // 2, width // 4 : width // 2] = 1
    elif kind == 'overlapping':
        masks = torch.zeros(3, height, width, dtype=torch.bool)
        for k, mask in enumerate(masks):
            mask[k : height - k * 3, k * 2 : width - 3] = True
        return InstanceMap.from_masks(masks, torch.arange(3)).ids.long()
    elif kind in STRIPES:
        ids = torch.arange(height * width).view(height, width) * STRIPES[kind] // (height * width) + 1
    elif kind == 'ignored':
        ids -= 1
    return ids


class HeadContract:
    """Set `config` (without in_channels) and `num_params_without_gradient` where a head has such."""

    config: dict

    @pytest.fixture
    def head(self):
        torch.manual_seed(0)
        with DefaultScope.overwrite_default_scope('mmdet'):
            return MODELS.build(dict(in_channels=8, channels=8, **self.config))

    def feats(self, height: int, width: int, num: int = 2) -> tuple[torch.Tensor, ...]:
        generator = torch.Generator().manual_seed(1)
        return (torch.randn(num, 8, height, width, generator=generator), torch.randn(num, 4, 3, 3, generator=generator))

    def loss_of(self, head, kinds: list[str], image: tuple[int, int], output: tuple[int, int]) -> dict[str, torch.Tensor]:
        return head.loss(self.feats(*output, num=len(kinds)), [make_sample(scene(kind, *image)) for kind in kinds])

    @pytest.mark.parametrize('kind', ['none', 'one', 'overlapping', 'six hundred', 'ignored'])
    def test_losses_are_finite_with_the_same_keys_and_reach_every_parameter(self, head, kind):
        losses = self.loss_of(head, [kind, kind], (48, 64), (24, 32))
        assert set(losses) == set(self.loss_of(head, ['one', 'one'], (48, 64), (24, 32)))
        assert all(torch.isfinite(value) for value in losses.values())
        sum(value for name, value in losses.items() if 'loss' in name).backward()
        for name, parameter in head.named_parameters():
            assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name

    def test_ignored_pixels_cost_nothing(self, head):
        losses = self.loss_of(head, ['ignored', 'ignored'], (48, 64), (24, 32))
        assert all(value == 0 for value in losses.values())

    @pytest.mark.parametrize(('image', 'output'), [((37, 53), (37, 53)), ((37, 53), (19, 27)), ((56, 70), (32, 40)), ((1, 1), (1, 1))])
    def test_odd_sizes(self, head, image, output):
        if image == (1, 1):
            head.eval()  # a batch norm over one pixel has no variance
        losses = self.loss_of(head, ['one', 'none'], image, output)
        assert all(torch.isfinite(value) for value in losses.values())
        maps = head.predict(self.feats(*output))
        assert all(value.shape[0] == 2 and value.shape[-2:] == output for value in maps.values())

    def test_half_precision_features_give_float32_losses_and_maps(self, head):
        reference = self.loss_of(head, ['one', 'overlapping'], (48, 64), (24, 32))
        with torch.autocast('cpu', dtype=torch.bfloat16):
            losses = self.loss_of(head, ['one', 'overlapping'], (48, 64), (24, 32))
            maps = head.predict(self.feats(24, 32))
        for name, value in losses.items():
            assert value.dtype == torch.float32
            torch.testing.assert_close(value, reference[name], rtol=0.05, atol=0.02)
        assert all(value.dtype == torch.float32 for value in maps.values())
        assert any(not torch.equal(value, value.bfloat16().float()) for value in maps.values()), 'rounded to half precision'

    def test_neither_work_nor_reads_grow_with_the_instances(self, head):
        few, many = (
            training_operations(head, lambda kind=kind: self.loss_of(head, [kind, kind], (48, 64), (24, 32)))
            for kind in ('sixty', 'six hundred')
        )
        assert few == many

    def test_ideal_maps_look_like_predictions(self, head):
        maps = head.predict(self.feats(24, 32))
        ideal = head.ideal_maps([make_sample(scene(kind, 48, 64)) for kind in ('one', 'none')], (24, 32))
        assert {name: (value.shape, value.dtype) for name, value in maps.items()} == {
            name: (value.shape, value.dtype) for name, value in ideal.items()
        }

    def test_loss_falls_when_it_is_trained(self, head):
        optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
        history = []
        for _ in range(12):
            losses = self.loss_of(head, ['one', 'overlapping'], (24, 32), (24, 32))
            history.append(sum(value for name, value in losses.items() if 'loss' in name))
            optimizer.zero_grad()
            history[-1].backward()
            optimizer.step()
        assert history[-1] < 0.9 * history[0]


class WithoutLabels:
    """Beside `HeadContract`: batches in which samples lack `gt_instance_map`."""

    def test_samples_without_the_labels_cost_nothing_and_touch_every_parameter(self, head):
        losses = head.loss(self.feats(12, 16), [DetDataSample(), DetDataSample()])
        assert all(value == 0 for value in losses.values())
        sum(losses.values()).backward()
        assert all(parameter.grad is not None and not parameter.grad.any() for parameter in head.parameters())

    def test_samples_without_the_labels_change_nothing(self, head):
        """Of two images only one is labelled: the loss is that of this one alone."""
        head.eval()  # batch norm mixes images
        feats = self.feats(12, 16)
        sample = make_sample(torch.arange(48 * 64).view(48, 64) // 1024 + 1)
        alone = head.loss((feats[0][:1],), [sample])
        mixed = head.loss(feats, [sample, DetDataSample()])
        for name, value in alone.items():
            torch.testing.assert_close(mixed[name], value, msg=name)
