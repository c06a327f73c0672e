import csv
from dataclasses import replace

import numpy as np
import pytest
import torch

from mmext_instseg.codecs import EmbeddingCodec
from mmext_instseg.engine.benchmark import Measurement, decode_by_full_dbscan, embedding_decode_cases, extrapolate
from mmext_instseg.engine.benchmark.embedding_decode import draw_embeddings, number_by_area, search_all_cores
from mmext_instseg.ops import nearest_core

CPU = torch.device('cpu')
SMALL = ('embedding_decode', '--sizes', '64x80', '--instances', '2', '6', '--points', '900', '1500', '--pairs', '2')


def test_tables_and_files(tool, tmp_path):
    status, text = tool('benchmark.py', *SMALL, '--out', tmp_path / 'new')
    assert status == 0, text
    for name, places in (('all cores', [('64x80', '2'), ('64x80', '6')]), ('full DBSCAN', [('55x55', '20'), ('71x71', '20')])):
        with (tmp_path / 'new' / f'embedding_decode_{name.replace(" ", "_")}.csv').open() as stream:
            rows = list(csv.DictReader(stream))
        assert [(row['size'], row['instances']) for row in rows] == places
        assert all(float(row[f'{name} ms']) > 0 and float(row['ratio']) > 0 for row in rows)
    markdown = (tmp_path / 'new' / 'embedding_decode.md').read_text()
    assert '| full DBSCAN ms |' in markdown and ' s, by the square of its last row' in markdown
    assert (tmp_path / 'new' / 'embedding_decode.png').stat().st_size > 5000


def test_different_results_are_not_timed(tool, monkeypatch):
    def wrong(*arguments):
        cluster, distance = search_all_cores(*arguments)
        return torch.where(cluster == 0, -1, cluster), distance

    monkeypatch.setattr('mmext_instseg.engine.benchmark.embedding_decode.AllCoresCodec.search', staticmethod(wrong))
    monkeypatch.setattr('mmext_instseg.engine.benchmark.measurement.run_seconds', lambda *_: pytest.fail('timed'))
    status, text = tool('benchmark.py', *SMALL)
    assert 'the decoder and the baseline give different instances, so their times say nothing' in status and not text


def test_too_many_instances_for_the_size(tool):
    status, _ = tool('benchmark.py', 'embedding_decode', '--sizes', '32x32', '--instances', '100')
    assert 'instances are found, so they have too few pixels for the codec' in status


def test_scenes_are_as_described():
    codec = EmbeddingCodec()
    maps, foreground, blobs = draw_embeddings(codec, (128, 128), 30, CPU)
    assert len(blobs) == 30
    assert foreground.float().mean() == pytest.approx(0.3, abs=0.05)
    inside = maps['embedding'][0][:, blobs.ids == 1].T
    away = torch.linalg.vector_norm(inside - inside.median(dim=0).values, dim=1)
    assert away.median() == pytest.approx(0.45, abs=0.05)
    means = torch.stack([maps['embedding'][0][:, blobs.ids == k].median(dim=1).values for k in range(1, 31)])
    assert torch.pdist(means).min() == pytest.approx(2.0, abs=0.3)


def test_full_dbscan_is_of_every_image():
    codec = EmbeddingCodec()
    scenes = [draw_embeddings(codec, (70, 60), count, CPU, seed) for seed, count in enumerate((3, 9))]
    maps = {'embedding': torch.cat([one['embedding'] for one, *_ in scenes])}
    foreground = torch.cat([mask for _, mask, _ in scenes])
    for found, (_, _, truth) in zip(decode_by_full_dbscan(codec, maps, foreground), scenes, strict=True):
        assert len(found) == len(truth)
        counts = torch.bincount((found.ids.long() * 100 + truth.ids).flatten())
        assert (counts[100:] > 0).sum() == len(truth), 'each one lies in one true instance'
        assert found.areas.tolist() == sorted(found.areas.tolist(), reverse=True)


def test_all_cores_agree_with_the_search():
    generator = torch.Generator().manual_seed(0)
    cluster = torch.arange(12).repeat_interleave(30)
    cores = torch.randn(12, 6, generator=generator)[cluster] + 0.3 * torch.randn(360, 6, generator=generator)
    points = torch.randn(2000, 6, generator=generator)
    found, expected = (search(points, cores, cluster, 12, 1.0) for search in (nearest_core, search_all_cores))
    assert torch.equal(found[0], expected[0]) and (found[0] >= 0).any() and (found[0] < 0).any()


def test_numbers_go_by_area_then_by_place():
    labels = np.array([-1, 7, 7, 2, 2, 5, 5, 5, -1, 9])
    assert number_by_area(labels, 2).tolist() == [0, 2, 2, 3, 3, 1, 1, 1, 0, 0]
    assert number_by_area(labels[:1], 1).tolist() == [0]


def test_extrapolation_is_quadratic():
    rows = [Measurement(dict(points=points), 1, [(1.0, seconds)], 0, 0) for points, seconds in ((100, 9.0), (200, 3.0))]
    assert extrapolate(rows, 1000) == 75.0


def test_differences_are_seen():
    (_, case), *_ = embedding_decode_cases([(64, 80)], [3], [900], CPU)
    found, expected = case.ours(), case.baseline()
    assert case.differs(found, expected) is None
    (one,) = found
    assert 'different instances' in case.differs([replace(one, scores=one.scores - 1e-3)], expected)
    assert 'different instances' in case.differs([replace(one, ids=one.ids.roll(1, 0))], expected)
    assert '2 instances are found' in case.differs([one.select(torch.tensor([True, True, False]))], expected)
