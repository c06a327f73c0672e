"""The discriminative loss and its alternatives, by hand and against the loops that they replace."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_contract import LossContract, noise
from operations import READS, Watch
from torch import Tensor, nn

from mmext_instseg.engine.benchmark import LOOPS
from mmext_instseg.models.losses import CenterEmbeddingLoss, ContrastiveEmbeddingLoss, DiscriminativeLoss, TripletEmbeddingLoss
from mmext_instseg.structures import InstanceMap

every_loss = pytest.mark.parametrize('kind', LOOPS)


def scene(num: int, height: int, width: int, instances: int, dims: int = 4, seed: int = 0) -> tuple[Tensor, Tensor, list[int]]:
    """Embeddings (B, d, H, W) float64, ids with ignored and background pixels, numbers of instances."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(-1, instances + 1, (num, height, width), generator=generator, dtype=torch.int32)
    return noise(num, dims, height, width, seed=seed), ids, [instances] * num


def row_of(points: list[list[float]], ids: list[int]) -> tuple[Tensor, Tensor, list[int]]:
    """An image of one row: a point and an id for each pixel."""
    return torch.tensor(points).T[None, :, None], torch.tensor(ids)[None, None], [max(0, *ids)]


class Total(nn.Module):
    """The sum of a loss's terms, times `loss_weight`, which the head has."""

    def __init__(self, loss: nn.Module, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss = loss
        self.loss_weight = loss_weight

    def forward(self, *args) -> Tensor:
        return self.loss_weight * sum(self.loss(*args).values())


@every_loss
class TestEmbeddingLosses(LossContract):
    @pytest.fixture(autouse=True)
    def choose(self, kind):
        self.kind = kind

    def build(self, **kwargs):
        return Total(self.kind(), **kwargs)

    def make_pred(self):
        return scene(2, 3, 4, 3)[0]

    def targets(self):
        return scene(2, 3, 4, 3)[1:]

    def nothing(self):
        return torch.tensor([-1, 0]).view(2, 1, 1).expand(2, 3, 4), [3, 0]

    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 2**31), st.integers(0, 5), st.integers(1, 6), st.integers(1, 6))
    def test_equals_the_loop_anywhere(self, seed, instances, height, width):
        args = scene(2, height, width, instances, seed=seed)
        expected = LOOPS[self.kind](*args)
        for name, value in self.kind()(*args).items():
            torch.testing.assert_close(value, expected[name], msg=f'{name}, seed {seed}')

    @pytest.mark.parametrize('instances', [0, 1, 2, 600])
    def test_equals_the_loop_with_its_gradient(self, instances):
        pred, ids, num = scene(3, 30, 40, instances)
        ids[1] = ids[1].clamp(max=2)  # unequal numbers, rows without pixels
        num[1] = min(instances, 300)
        values, gradients = [], []
        for form in (self.kind(), LOOPS[self.kind]):
            leaf = pred.clone().requires_grad_()
            losses = form(leaf, ids, num)
            losses.pop('loss_reg', None)
            values.append(losses)
            gradients.append(torch.autograd.grad(sum(losses.values()), leaf)[0])
        torch.testing.assert_close(values[0], values[1])
        torch.testing.assert_close(gradients[0], gradients[1])

    def test_ignored_overlaps_and_background_have_no_say(self):
        masks = torch.zeros(2, 4, 6, dtype=torch.bool)
        masks[0, :, :4] = masks[1, :, 2:] = True
        instances = InstanceMap.from_masks(masks, torch.zeros(2), overlap='ignore')
        assert (instances.ids[:, 2:4] == -1).all()
        ids, pred = instances.ids[None].clone(), noise(1, 4, 4, 6)
        ids[0, 0] = 0
        leaf = pred.clone().requires_grad_()
        losses = self.kind()(leaf, ids, [2])
        sum(losses.values()).backward()
        outside = (ids < 1)[:, None].expand_as(pred)
        assert not leaf.grad[outside].any() and leaf.grad[~outside].any()
        torch.testing.assert_close(self.kind()(torch.where(outside, 1e3, pred), ids, [2]), losses)

    def test_images_without_instances_do_not_count(self):
        pred, ids, num = scene(2, 4, 5, 3)
        alone = self.kind()(pred[:1], ids[:1], num[:1])
        for other in (0, 3):
            ids[1] = ids[1].clamp(max=0)
            torch.testing.assert_close(self.kind()(pred, ids, [3, other]), alone)

    def test_equal_embeddings_have_a_finite_gradient(self):
        """Every distance is 0 and has no derivative."""
        pred = torch.ones(1, 4, 3, 4, requires_grad=True)
        sum(self.kind()(pred, torch.arange(12).view(1, 3, 4) // 3, [3]).values()).backward()
        assert torch.isfinite(pred.grad).all()

    def test_near_means_far_from_the_origin_are_measured(self):
        """In float32 a product of means loses what separates them."""
        pred, ids, num = scene(1, 6, 7, 3)
        pred = pred / 10 + 300
        torch.testing.assert_close(self.kind()(pred.float(), ids, num), as_float(self.kind()(pred, ids, num)), rtol=2e-3, atol=1e-5)

    def test_shapes_that_do_not_fit_are_named(self):
        pred, ids, num = scene(2, 3, 4, 3)
        with pytest.raises(ValueError, match=r'\(2, 4, 3, 4\).*\(2, 3, 4\) and 1 numbers'):
            self.kind()(pred, ids, num[:1])
        with pytest.raises(ValueError, match=r'\(2, 3, 2\)'):
            self.kind()(pred, ids[..., :2], num)

    def test_neither_work_nor_reads_nor_the_largest_tensor_grow_with_the_instances(self):
        few, many = watch_over(self.kind(), 2), watch_over(self.kind(), 600)
        assert many.operations == few.operations  # so no loop, and none reads a value back
        assert not READS & set(many.operations)
        pixels, dims = 64 * 64, 8
        assert few.largest == pixels * dims and many.largest == 600 * 600 < pixels * 600


def watch_over(loss: nn.Module, instances: int) -> Watch:
    """A forward and a backward pass over a 64x64 image of 8 dimensions."""
    pred, ids, num = scene(1, 64, 64, instances, dims=8)
    pred = pred.float().requires_grad_()
    with Watch() as watch:
        sum(loss(pred, ids, num).values()).backward()
    return watch


def as_float(losses: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in losses.items()}


def test_the_watch_sees_a_read_and_a_tensor():
    with Watch() as watch:
        torch.zeros(3, 5).sum().item()
    assert READS & set(watch.operations) and watch.largest == 15


class TestDiscriminativeByHand:
    def test_l_var(self):
        # k = 1: mean (2, 0), distances 2, 2, excess 1.5 twice; k = 2: mean (0, 6), distances 0.25, within the threshold; k = 3: one pixel
        args = row_of([[0, 0], [4, 0], [0, 5.75], [0, 6.25], [50, 50], [9, 9], [9, 9]], [1, 1, 2, 2, 3, 0, -1])
        losses = DiscriminativeLoss()(*args)
        torch.testing.assert_close(losses['loss_var'], torch.tensor(1.5**2 / 3))
        torch.testing.assert_close(DiscriminativeLoss(delta_var=0.0)(*args)['loss_var'], torch.tensor((4 + 0.25**2) / 3))

    def test_l_var_weighs_instances_not_pixels(self):
        # excess 1.5 in both pixels of the first; 0.5, 0.5, 0.5, 0.5 in the second's four
        args = row_of([[0.0], [4.0], [10.0], [12.0], [10.0], [12.0]], [1, 1, 2, 2, 2, 2])
        torch.testing.assert_close(DiscriminativeLoss()(*args)['loss_var'], torch.tensor((1.5**2 + 0.5**2) / 2))

    def test_l_dist(self):
        # means (0, 0), (1, 0), (0, 1.5): distances 1, 1.5, sqrt(3.25)
        args = row_of([[0, 0], [1, 0], [0, 1.5]], [1, 2, 3])
        expected = (1.0**2 + 0.5**2 + (2 - math.sqrt(3.25)) ** 2) / 3
        torch.testing.assert_close(DiscriminativeLoss()(*args)['loss_dist'], torch.tensor(expected))
        # the distance itself, not half of it: means 2 apart are far enough
        assert DiscriminativeLoss()(*row_of([[0.0], [2.0]], [1, 2]))['loss_dist'] == 0
        torch.testing.assert_close(DiscriminativeLoss(delta_dist=3.0)(*row_of([[0.0], [2.0]], [1, 2]))['loss_dist'], torch.tensor(1.0))

    def test_l_dist_needs_two_instances(self):
        one, two = row_of([[0.0], [4.0]], [1, 1]), row_of([[0.0], [1.0]], [1, 2])
        losses = DiscriminativeLoss()(torch.cat([one[0], two[0]]), torch.cat([one[1], two[1]]), [1, 2])
        torch.testing.assert_close(losses['loss_var'], torch.tensor(1.5**2 / 2))  # the mean of 2.25 and 0
        torch.testing.assert_close(losses['loss_dist'], torch.tensor(1.0))  # of the second image alone
        assert DiscriminativeLoss()(*one)['loss_dist'] == 0

    def test_coincident_means_cost_the_whole_threshold(self):
        assert DiscriminativeLoss()(*row_of([[3.0], [3.0]], [1, 2]))['loss_dist'] == 4

    def test_the_regulariser_is_left_out_unless_weighted(self):
        args = row_of([[3, 4], [6, 8], [0, 0]], [1, 2, 0])
        assert set(DiscriminativeLoss()(*args)) == {'loss_var', 'loss_dist'}
        torch.testing.assert_close(DiscriminativeLoss(weight_reg=0.1)(*args)['loss_reg'], torch.tensor(0.1 * (5 + 10) / 2))

    def test_terms_are_weighted_one_by_one(self):
        args = scene(2, 5, 6, 3)
        plain = DiscriminativeLoss()(*args)
        weighted = DiscriminativeLoss(weight_var=3.0, weight_dist=0.0)(*args)
        torch.testing.assert_close(weighted['loss_var'], 3 * plain['loss_var'])
        assert weighted['loss_dist'] == 0

    def test_gradcheck_with_the_regulariser(self):
        pred, ids, num = scene(1, 3, 4, 2)
        loss = DiscriminativeLoss(weight_reg=0.5)
        assert torch.autograd.gradcheck(lambda values: tuple(loss(values, ids, num).values()), (pred.requires_grad_(),))

    def test_perfect_embeddings_cost_nothing(self):
        _, ids, num = scene(2, 6, 7, 5)
        table = torch.cat([torch.zeros(2, 5), 2 * torch.eye(5)])  # 2 sqrt(2) apart
        assert all(value == 0 for value in DiscriminativeLoss()(table[ids.long() + 1].movedim(-1, 1), ids, num).values())


class TestAlternativesByHand:
    # means (0), (3) and (10); the third one's nearest other is the second
    args = row_of([[-1.0], [1.0], [2.5], [3.5], [10.0], [0.0]], [1, 1, 2, 2, 3, 0])

    def test_contrastive(self):
        losses = ContrastiveEmbeddingLoss()(*self.args)
        torch.testing.assert_close(losses['loss_var'], torch.tensor((1 + 0.25 + 0) / 2 / 3))
        # distances to the other mean: 4, 2 | 2.5, 3.5 | 7; with m = 3 gaps 0, 1 | 0.5, 0 | 0
        assert losses['loss_dist'] == 0
        losses = ContrastiveEmbeddingLoss(margin=3.0)(*self.args)
        torch.testing.assert_close(losses['loss_dist'], torch.tensor((0.5 + 0.125 + 0) / 2 / 3))

    def test_triplet(self):
        # own distances 1, 1 | 0.5, 0.5 | 0, others' 4, 2 | 2.5, 3.5 | 7; with m = 1: 0, 0 | 0, 0 | 0; with m = 3: 0, 2 | 1, 0 | 0
        assert TripletEmbeddingLoss()(*self.args)['loss_triplet'] == 0
        torch.testing.assert_close(TripletEmbeddingLoss(margin=3.0)(*self.args)['loss_triplet'], torch.tensor((1 + 0.5 + 0) / 3))

    def test_center(self):
        losses = CenterEmbeddingLoss(delta_dist=4.0)(*self.args)
        torch.testing.assert_close(losses['loss_var'], torch.tensor((1 + 0.25 + 0) / 2 / 3))
        torch.testing.assert_close(losses['loss_dist'], torch.tensor(1 / 3))

    def test_one_instance_has_no_other(self):
        args = row_of([[-1.0], [1.0]], [1, 1])
        assert ContrastiveEmbeddingLoss()(*args) == {'loss_var': 0.5, 'loss_dist': 0.0}
        assert TripletEmbeddingLoss()(*args) == {'loss_triplet': 0.0}
        assert CenterEmbeddingLoss()(*args) == {'loss_var': 0.5, 'loss_dist': 0.0}


@every_loss
def test_training_separates_the_instances(kind):
    """Embeddings themselves, trained: in the end pixels are nearer to their own than to any other instance, by the gap that eps needs."""
    pred, ids, num = scene(1, 6, 8, 4)
    leaf = (pred / 10).requires_grad_()
    optimizer = torch.optim.Adam([leaf], lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        sum(kind()(leaf, ids, num).values()).backward()
        optimizer.step()
    pixels = leaf.detach()[0].flatten(1).T
    owner = ids.flatten()
    apart = torch.cdist(pixels, pixels)
    both = (owner[:, None] > 0) & (owner > 0)
    assert apart[both & (owner[:, None] != owner)].min() > 0.9


del LossContract  # pytest would collect it as a test
