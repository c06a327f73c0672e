import math

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmext_instseg.models.heads.aml_matching import combined_loss, contested, minimum_of_cell


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_equation_3_by_hand():
    loss = combined_loss(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 0.5]))
    torch.testing.assert_close(loss, torch.tensor([1.0, sigmoid(2) + sigmoid(0.5)]))


def test_contested_cells():
    assert contested(torch.tensor([3, 1, 3, 0, 7, 1, 3]), 8).tolist() == [0, 1, 2, 5, 6]
    assert contested(torch.tensor([], dtype=torch.int64), 8).tolist() == []


def test_the_minimum_of_each_cell_by_hand():
    cell = torch.tensor([4, 2, 4, 2, 4])
    cls_loss, mask_loss = torch.tensor([0.1, 1.0, 0.9, 0.0, 0.5]), torch.tensor([3.0, 1.0, 0.2, 2.5, 1.0])
    # cell 4: 0.525 + 0.953, 0.711 + 0.550, 0.622 + 0.731; cell 2: 0.731 + 0.731, 0.5 + 0.924 (yet the plain sum is larger: 2.5 against 2)
    assert minimum_of_cell(cell, cls_loss, mask_loss).tolist() == [False, False, True, True, False]


def test_ties_go_to_the_smaller_sum_then_to_the_earlier():
    cell = torch.zeros(3, dtype=torch.int64)
    saturated = torch.tensor([40.0, 30.0, 30.0])
    assert combined_loss(saturated, saturated).tolist() == [2, 2, 2]
    assert minimum_of_cell(cell, saturated, saturated).tolist() == [False, True, False]
    assert minimum_of_cell(cell, torch.ones(3), torch.ones(3)).tolist() == [True, False, False]


losses = st.floats(0, 50, width=32)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), losses, losses), max_size=30))
def test_equals_a_loop(rows):
    cell = torch.tensor([row[0] for row in rows], dtype=torch.int64)
    cls_loss, mask_loss = (torch.tensor([row[i] for row in rows], dtype=torch.float32) for i in (1, 2))
    keys = list(zip(combined_loss(cls_loss, mask_loss).tolist(), (cls_loss + mask_loss).tolist(), range(len(rows)), strict=True))
    best = {c: min(key for key, other in zip(keys, cell.tolist(), strict=True) if other == c)[2] for c in cell.tolist()}
    assert minimum_of_cell(cell, cls_loss, mask_loss).nonzero().squeeze(1).tolist() == sorted(best.values())
