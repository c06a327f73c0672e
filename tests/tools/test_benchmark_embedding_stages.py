"""tools/benchmark.py embedding_stages on a small network, and the stages by a clock of the test's own."""

import csv
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from mmext_instseg.codecs import EmbeddingCodec, embedding
from mmext_instseg.engine.benchmark import StagedModel, StageTimes, embedding_stages, stage_rows, time_stages

CPU = torch.device('cpu')
CONFIGS = Path(__file__).parents[2] / 'configs'
CONFIG = CONFIGS / 'embedding_unet' / 'embedding_unet_tiny_shapes.py'
SMALL = ('embedding_stages', '--config', CONFIG, '--size', '60x96', '--instances', '2', '5', '--rounds', '2')
HEADER = ['instances', 'network ms', 'sampling ms', 'DBSCAN ms', 'assignment ms', 'masks ms', 'total ms', 'ratio', 'lowest', 'highest']


def test_table_and_files(tool, tmp_path):
    status, text = tool('benchmark.py', *SMALL, '--out', tmp_path)
    assert status == 0, text
    with (tmp_path / 'embedding_stages.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert list(rows[0]) == HEADER and [row['instances'] for row in rows] == ['2', '5']
    assert all(float(row[name]) > 0 for row in rows for name in HEADER[1:])
    assert float(rows[0]['ratio']) == 1
    markdown = (tmp_path / 'embedding_stages.md').read_text()
    assert '\nembedding_unet_tiny_shapes, 60x96 pixels (height x width), 2 rounds; CPU' in markdown
    assert (tmp_path / 'embedding_stages.png').stat().st_size > 5000


@pytest.fixture
def model():
    return StagedModel(CONFIG, (60, 96), CPU)


def test_each_step_counts_once(model, monkeypatch):
    """A clock that goes on by one second at the end of whatever is timed, so that a step takes one and the rest of decoding one."""
    clock = SimpleNamespace(now=0.0)

    def run_seconds(function, device):
        start = clock.now
        function()
        clock.now += 1
        return clock.now - start

    monkeypatch.setattr(embedding_stages, 'run_seconds', run_seconds)
    calls = dict.fromkeys(('border_pixels', 'sample_by_value', 'adaptive_parameters', 'dbscan_cores', 'search'), 0)

    def counted(name, step):
        def run(*args, **kwargs):
            calls[name] += 1
            return step(*args, **kwargs)

        return run

    for name in list(calls)[:-1]:
        monkeypatch.setattr(embedding, name, counted(name, getattr(embedding, name)))
    monkeypatch.setattr(EmbeddingCodec, 'search', staticmethod(counted('search', EmbeddingCodec.search)))
    times = time_stages(model, [3], rounds=2)[0]
    checks = 2  # before: once untimed, once timed
    per_round = {name: count / (2 + checks) for name, count in calls.items()}
    assert all(count >= 1 for count in per_round.values())
    assert times.seconds == {
        'network': [1.0] * 2,
        'sampling': [per_round['border_pixels'] + per_round['sample_by_value']] * 2,
        'DBSCAN': [per_round['adaptive_parameters'] + per_round['dbscan_cores']] * 2,
        'assignment': [per_round['search']] * 2,
        'masks': [1.0] * 2,
    }


def test_the_codec_is_left_as_it_was(model):
    before = embedding.dbscan_cores
    (scene,) = model.scenes([3])
    with model.watched() as seconds:
        scene.decode()
    assert set(seconds) == {'sampling', 'DBSCAN', 'assignment'} and all(value > 0 for value in seconds.values())
    assert embedding.dbscan_cores is before and 'search' not in vars(model.model.codec)


def test_scenes_have_their_instances_and_classes(model):
    (scene,) = model.scenes([7])
    found = scene.decode()
    assert len(found) == 7 and found.masks.shape == (7, 60, 96)
    assert sorted(found.labels.tolist()) == [0, 0, 1, 1, 2, 3, 4]


def test_rows_by_hand():
    times = [
        StageTimes(10, {'network': [5.0, 7.0, 6.0], 'sampling': [1.0, 2.0, 1.0], 'masks': [1.0, 2.0, 3.0]}),
        StageTimes(99, {'network': [5.0, 7.0, 6.0], 'sampling': [1.0, 1.0, 1.0], 'masks': [3.0, 1.0, 5.0]}),
    ]
    # of all but the network: 2, 4, 4 and 4, 2, 6
    assert stage_rows(times)[1:] == [
        ['10', '6000.0', '1000.0', '2000.0', '10000.0', '1.00', '1.00', '1.00'],
        ['99', '6000.0', '1000.0', '3000.0', '9000.0', '1.50', '0.50', '2.00'],
    ]


def test_different_results_are_not_timed(tool, monkeypatch):
    calls = []

    def wrong(*args, right=EmbeddingCodec.search):
        calls.append(args)
        cluster, distance = right(*args)
        return cluster, distance * len(calls)

    monkeypatch.setattr(EmbeddingCodec, 'search', staticmethod(wrong))
    status, text = tool('benchmark.py', *SMALL)
    assert 'timed step by step they have other' in status and not text


def test_bad_arguments(tool):
    for words in (('--size', '512'), ('--instances', '0'), ('--rounds', '0')):
        assert tool('benchmark.py', 'embedding_stages', *words)[0] == 2
    status, _ = tool('benchmark.py', *SMALL[:5], '--instances', '300')
    assert 'of 300 instances are found: they have too few pixels for the codec' in status
    status, _ = tool('benchmark.py', 'embedding_stages', '--config', CONFIGS / 'dcme' / 'dcme_tiny_shapes.py')
    assert 'dcme_tiny_shapes.py: not a BottomUpSegmentor with an EmbeddingCodec' in status
    status, _ = tool('benchmark.py', 'embedding_stages', '--config', 'no.py')
    assert 'no.py' in status
