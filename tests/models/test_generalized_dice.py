import math
from importlib import import_module

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_contract import LossContract, noise

from mmext_instseg.models.losses import GeneralizedDiceLoss

module = import_module('mmext_instseg.models.losses.generalized_dice')


def naive(pred: torch.Tensor, ids: torch.Tensor, codes: list[torch.Tensor]) -> torch.Tensor:
    """Eqs. 12 to 14 as they are written, instance by instance."""
    losses, half = [], pred.shape[1] // 2
    for y, owner, table in zip(pred, ids, codes, strict=True):
        top = bottom = 0.0
        valid = owner >= 0
        for label, code in enumerate(table, start=1):
            r = (owner == label).to(y)
            if not r.any():
                continue
            dx, dy = ((y[part] - code.to(y)[part, None, None]).norm(dim=0) for part in (slice(half), slice(half, None)))
            p = torch.exp(-(dx**2)) * torch.exp(-(dy**2)) * valid
            top, bottom = top + (r * p).sum() / r.sum(), bottom + (r + p).sum() / r.sum()
        if isinstance(top, torch.Tensor):
            losses.append(1 - 2 * top / bottom)
    return torch.stack(losses).mean() if losses else pred.sum() * 0


def scene(num: int, height: int, width: int, instances: int, channels: int = 8, seed: int = 0) -> tuple:
    """pred (B, D, H, W) float64, ids with ignored and void pixels, and a table of unit circles' points an image."""
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(-1, instances + 1, (num, height, width), generator=generator, dtype=torch.int32)
    tables = [torch.rand(instances, channels, generator=generator) * 2 - 1 for _ in range(num)]
    return noise(num, channels, height, width, seed=seed), ids, tables


class TestGeneralizedDiceLoss(LossContract):
    def build(self, **kwargs):
        return GeneralizedDiceLoss(**kwargs)

    def make_pred(self):
        return scene(2, 3, 4, 3)[0]

    def targets(self):
        return scene(2, 3, 4, 3)[1:]

    def nothing(self):
        return torch.full((2, 3, 4), -1), scene(2, 3, 4, 3)[2]

    def test_equations_12_to_14_by_hand(self):
        # one row: two pixels of instance 1, predicted exactly; one of instance 2, a void one and an ignored one
        codes = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
        ids = torch.tensor([[[1, 1, 2, 0, -1]]])
        pred = torch.zeros(1, 2, 1, 5)
        pred[0, :, 0, 2] = torch.tensor([0.0, 2.0])  # dx = 1, dy = 2 from its own code; 0 and 2 from the other's
        pred[0, :, 0, 3] = torch.tensor([1.0, 0.0])  # void: exactly instance 2's code
        pred[0, :, 0, 4] = torch.tensor([0.0, 0.0])
        e1, e4, e5 = math.exp(-1), math.exp(-4), math.exp(-5)
        top = (1 + 1) / 2 + e5
        bottom = (2 + 1 + 1 + e4 + e1) / 2 + (1 + e1 + e1 + e5 + 1)
        torch.testing.assert_close(GeneralizedDiceLoss()(pred, ids, [codes]), torch.tensor(1 - 2 * top / bottom))

    def test_a_perfect_prediction_of_far_codes_costs_nothing_and_void_little(self):
        codes = torch.tensor([[5.0, 0, 0, 0], [-5.0, 0, 0, 0]])
        ids = torch.tensor([[[1, 1, 2], [1, 1, 2]]])
        perfect = codes[ids[0] - 1].permute(2, 0, 1)[None]
        torch.testing.assert_close(GeneralizedDiceLoss()(perfect, ids, [codes]), torch.tensor(0.0), atol=1e-6, rtol=0)

    @pytest.mark.parametrize('chunk', [2**22, 1, 300])
    def test_equals_the_naive_form_with_its_gradient(self, chunk, monkeypatch):
        monkeypatch.setattr(module, '_CHUNK', chunk)
        pred, ids, tables = scene(3, 6, 7, 5)
        tables[1] = tables[1][:2]  # unequal tables
        ids[1] = ids[1].clamp(max=2)
        ids[2][ids[2] == 4] = 0  # a row without pixels
        values, gradients = [], []
        for form in (GeneralizedDiceLoss(), naive):
            leaf = pred.clone().requires_grad_()
            values.append(form(leaf, ids, tables))
            gradients.append(torch.autograd.grad(values[-1], leaf)[0])
        torch.testing.assert_close(values[0], values[1])
        torch.testing.assert_close(gradients[0], gradients[1])

    @settings(deadline=None, max_examples=20)
    @given(st.integers(0, 2**31), st.integers(0, 4), st.integers(1, 5), st.integers(1, 5))
    def test_equals_the_naive_form_anywhere(self, seed, instances, height, width):
        pred, ids, tables = scene(2, height, width, instances, channels=4, seed=seed)
        torch.testing.assert_close(GeneralizedDiceLoss()(pred, ids, tables), naive(pred, ids, tables))

    def test_images_without_instances_do_not_count(self):
        pred, ids, tables = scene(2, 4, 5, 3)
        alone = GeneralizedDiceLoss()(pred[:1], ids[:1], tables[:1])
        ids[1] = ids[1].clamp(max=0)
        for table in (tables[1], tables[1][:0]):
            leaf = pred.clone().requires_grad_()
            loss = GeneralizedDiceLoss()(leaf, ids, [tables[0], table])
            loss.backward()
            torch.testing.assert_close(loss.detach(), alone)
            assert not leaf.grad[1].any() and leaf.grad[0].any()

    def test_no_rows_at_all(self):
        pred = noise(2, 8, 3, 4).requires_grad_()
        loss = GeneralizedDiceLoss()(pred, torch.zeros(2, 3, 4, dtype=torch.int32), [torch.zeros(0, 8)] * 2)
        loss.backward()
        assert loss == 0 and not pred.grad.any()

    def test_far_predictions_are_finite(self):
        pred, ids, tables = scene(1, 3, 4, 3)
        leaf = (pred.float() * 1e10).requires_grad_()
        loss = GeneralizedDiceLoss()(leaf, ids, tables)
        loss.backward()
        assert loss == 1 and not leaf.grad.any()

    def test_what_is_kept_does_not_grow_with_the_instances(self):
        def kept(instances: int) -> int:
            pred, ids, tables = scene(1, 16, 16, instances)
            sizes: list[int] = []

            def count(tensor: torch.Tensor) -> torch.Tensor:
                sizes.append(tensor.numel())
                return tensor

            with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
                GeneralizedDiceLoss()(pred.requires_grad_(), ids, tables)
            return sum(sizes)

        assert kept(200) - kept(2) < 16 * 16

    def test_tables_that_do_not_fit_are_named(self):
        pred, ids, tables = scene(2, 3, 4, 3)
        with pytest.raises(ValueError, match=r'2 images of 8 channels.*\[\(3, 8\)\]'):
            GeneralizedDiceLoss()(pred, ids, tables[:1])
        with pytest.raises(ValueError, match=r'\(3, 6\)'):
            GeneralizedDiceLoss()(pred, ids, [table[:, :6] for table in tables])


del LossContract  # pytest would collect it as a test
