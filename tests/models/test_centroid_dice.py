import math

import pytest
import torch
from torch.autograd import gradcheck

from mmext_instseg.models.losses import CentroidDiceLoss, centroid_dice, soft_centroids


def masks_of(*rows: list[float]) -> torch.Tensor:
    """(N, 1, w) masks of one row each."""
    return torch.tensor(rows)[:, None]


def test_soft_centroids_by_hand():
    masks = torch.zeros(3, 4, 5)
    masks[0, 1, 2:5] = 1  # x 2, 3, 4 in row 1
    masks[1, 0, 0], masks[1, 3, 4] = 0.75, 0.25
    mass, centres = soft_centroids(masks)
    assert mass.tolist() == [3, 1, 0]
    assert centres.tolist() == [[3, 1], [1, 0.75], [0, 0]]


def test_equations_1_and_2_by_hand():
    probs = masks_of([1, 1, 0, 0], [1, 1, 0, 0], [0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0])
    target = masks_of([1, 1, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [0, 0, 0, 1])
    # 1: equal, Dice (2 * 2 + 1) / (2 + 2 + 1). 2: overlap 1, Dice 3 / 5, centroids 0.5 and 1.5, epsilon 1 / 2.
    # 3: overlap 0.5, Dice 2 / 4, centroids 1.5 and 3, epsilon 2.25 / 1.5 = 1.5, bounded to 1. 4: overlap 0, Dice 1 / 3, epsilon 3^2
    torch.testing.assert_close(centroid_dice(probs, target), torch.tensor([0.0, 0.4 + 0.5, 0.5 + 1.0, 2 / 3 + 1.0]))
    unbounded = centroid_dice(probs, target, max_epsilon=math.inf)
    torch.testing.assert_close(unbounded, torch.tensor([0.0, 0.4 + 0.5, 0.5 + 1.5, 2 / 3 + 9.0]))


def test_both_axes_count():
    probs, target = torch.zeros(1, 4, 4), torch.zeros(1, 4, 4)
    probs[0, :2, :2] = target[0, 1:3, 1:3] = 1  # one pixel of each four is shared; centroids one apart along both axes
    torch.testing.assert_close(centroid_dice(probs, target, math.inf), torch.tensor([1 - 3 / 9 + 2 / 2]))


def test_without_mass_epsilon_is_zero_and_gradients_are_finite():
    logits = torch.stack([torch.full((3, 3), value) for value in (-1e4, -90.0, 0.0)]).requires_grad_()
    target = torch.zeros(3, 3, 3, dtype=torch.bool)
    target[:2, 2, 2] = True  # far from (0, 0), the centroid of nothing
    losses = CentroidDiceLoss(reduction='none')(logits, target)
    losses.sum().backward()
    # nothing predicted: Dice 1 / (1 + 1); nothing there: Dice 1 / (9 / 2 + 1)
    torch.testing.assert_close(losses.detach(), torch.tensor([0.5, 0.5, 1 - 1 / 5.5]))
    assert torch.isfinite(logits.grad).all() and logits.grad[2].abs().min() > 0


def test_gradcheck():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 5, dtype=torch.double, generator=generator, requires_grad=True)
    target = torch.rand(4, 3, 5, generator=generator) > 0.5
    weight = torch.rand(4, dtype=torch.double, generator=generator)
    assert centroid_dice(logits.sigmoid(), target.double(), math.inf).max() < 2  # the bound isn't active
    for reduction in ('mean', 'sum', 'none'):
        assert gradcheck(lambda x, r=reduction: CentroidDiceLoss(3.0, reduction=r)(x, target, weight), (logits,))


def test_a_mask_is_drawn_towards_the_true_centroid():
    logits = torch.zeros(1, 1, 9, requires_grad=True)
    target = torch.zeros(1, 1, 9)
    target[0, 0, 5] = 1
    with_centroid = torch.autograd.grad(CentroidDiceLoss()(logits, target), logits)[0]
    dice_alone = torch.autograd.grad(CentroidDiceLoss(max_epsilon=0)(logits, target), logits)[0]
    pull = (dice_alone - with_centroid)[0, 0]
    assert pull[8] > 0 > pull[0]  # the centroid is at 4, the target at 5


def test_reductions_and_weights():
    pred, target = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0)), torch.ones(3, 4, 4, dtype=torch.bool)
    single = CentroidDiceLoss(reduction='none')(pred, target)
    weight = torch.tensor([1.0, 0.0, 2.0])
    assert single.shape == (3,)
    torch.testing.assert_close(CentroidDiceLoss(2.0)(pred, target), 2 * single.mean())
    torch.testing.assert_close(CentroidDiceLoss()(pred, target, weight, avg_factor=5.0), (single * weight).sum() / 5)
    torch.testing.assert_close(CentroidDiceLoss()(pred, target, reduction_override='sum'), single.sum())
    assert CentroidDiceLoss()(pred[:0], target[:0]) == 0


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_float32_in_half_precision(dtype):
    """300 x 300 pixels overflow float16; the true mask is all of them."""
    pred, target = torch.full((1, 300, 300), 30.0), torch.ones(1, 300, 300, dtype=torch.bool)
    with torch.autocast('cpu', dtype=dtype):
        loss = CentroidDiceLoss()(pred.to(dtype), target)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, torch.tensor(0.0), atol=1e-5, rtol=0)
