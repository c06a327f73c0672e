"""tools/benchmark.py embedding_losses on small maps; nothing here looks at a time."""

import csv

import pytest
import torch

from mmext_instseg.engine.benchmark import LOOPS, embedding_loss_cases
from mmext_instseg.models.losses import DiscriminativeLoss

SMALL = ('embedding_losses', '--size', '40x56', '--instances', '6', '--pairs', '1')


def test_table_and_files(tool, tmp_path):
    status, text = tool('benchmark.py', *SMALL, '--out', tmp_path)
    assert status == 0, text
    with (tmp_path / 'embedding_losses.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    names = ['DiscriminativeLoss', 'ContrastiveEmbeddingLoss', 'TripletEmbeddingLoss', 'CenterEmbeddingLoss']
    assert [(row['loss'], row['instances']) for row in rows] == [(name, '6') for name in names]
    assert all(float(row['ratio']) > 0 and float(row['loop MiB']) > 0 for row in rows)
    assert '| TripletEmbeddingLoss | 40x56 | 6 |' in (tmp_path / 'embedding_losses.md').read_text()
    assert (tmp_path / 'embedding_losses.png').stat().st_size > 5000


def test_different_results_are_not_timed(tool, monkeypatch):
    def wrong(*args, right=LOOPS[DiscriminativeLoss]):
        return {name: 1.01 * value for name, value in right(*args).items()}

    monkeypatch.setitem(LOOPS, DiscriminativeLoss, wrong)
    monkeypatch.setattr('mmext_instseg.engine.benchmark.measurement.run_seconds', lambda *_: pytest.fail('timed'))
    status, text = tool('benchmark.py', *SMALL)
    assert status.startswith('error: loss DiscriminativeLoss, size 40x56, instances 6: loss_var is ') and not text
    assert status.endswith('so their times say nothing')


def test_every_term_counts_and_gradients_are_compared():
    for _, case in embedding_loss_cases((40, 56), [6], torch.device('cpu'), dims=8):
        found, expected = case.ours(), case.baseline()
        assert case.differs(found, expected) is None
        losses, gradient = found
        assert all(value > 0.001 for value in losses.values())
        assert 'different gradients' in case.differs((losses, gradient.flip(3)), expected)
        name, value = next(iter(losses.items()))
        assert case.differs(({**losses, name: value * 1.01}, gradient), expected).startswith(f'{name} is ')


def test_bad_arguments(tool):
    for words in (('--size', '512'), ('--instances', '0'), ('--pairs', '0')):
        assert tool('benchmark.py', 'embedding_losses', *words)[0] == 2
