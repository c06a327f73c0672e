import csv
from dataclasses import replace

import pytest
import torch

from mmext_instseg.codecs import PECentroidCodec
from mmext_instseg.engine.benchmark import decode_pe_by_loop, pe_decode_cases
from mmext_instseg.engine.benchmark.pe_decode import find_score_difference

SMALL = ('pe_decode', '--sizes', '60x80', '48x96', '--grids', '30x40', '24x48', '--instances', '1', '4', '--pairs', '2')


def test_tables_and_files(tool, tmp_path):
    status, text = tool('benchmark.py', *SMALL, '--out', tmp_path / 'new')
    assert status == 0, text
    for baseline in ('brute force', 'loop', 'loop after our search'):
        with (tmp_path / 'new' / f'pe_decode_{baseline.replace(" ", "_")}.csv').open() as stream:
            rows = list(csv.DictReader(stream))
        found = [(row['size'], row['grid'], row['instances']) for row in rows]
        assert found == [('60x80', '30x40', '1'), ('60x80', '30x40', '4'), ('48x96', '24x48', '1'), ('48x96', '24x48', '4')]
        assert all(float(row[f'{baseline} ms']) > 0 and float(row['ratio']) > 0 for row in rows)
    assert '| brute force ms |' in (tmp_path / 'new' / 'pe_decode.md').read_text()
    assert (tmp_path / 'new' / 'pe_decode.png').stat().st_size > 5000


def test_sizes_and_grids_go_in_pairs(tool):
    status, _ = tool('benchmark.py', *SMALL, '--grids', '30x40')
    assert status == 'error: --sizes and --grids go in pairs; these are 2 and 1'


def test_different_results_are_not_timed(tool, monkeypatch):
    def wrong(self, *arguments, right=PECentroidCodec.distance):
        return right(self, *arguments) * 0.9

    monkeypatch.setattr('mmext_instseg.engine.benchmark.pe_decode.BruteForceCodec.distance', wrong, raising=False)
    monkeypatch.setattr('mmext_instseg.engine.benchmark.measurement.run_seconds', lambda *_: pytest.fail('timed'))
    status, text = tool('benchmark.py', *SMALL)
    message = 'the decoder and the brute force give different instances, so their times say nothing'
    assert status == f'error: size 60x80, grid 30x40, instances 1: {message}' and not text


def test_too_many_instances_for_the_grid(tool):
    status, _ = tool('benchmark.py', 'pe_decode', '--sizes', '48x48', '--grids', '13x13', '--instances', '100')
    assert 'instances are found, so the grid is too coarse or too fine for them' in status


@pytest.mark.parametrize(
    'settings',
    [
        dict(),
        dict(peak_radius=0, near_radius=1, nms_threshold=0.0),
        dict(near_radius=4, nms_threshold=0.8, min_pixels=3, margin=0.1),
        dict(relative=True, max_instances=5, min_pixels=4),
        dict(peak_radius=2, near_radius=1, harmonics=3),
    ],
)
def test_the_loop_decodes_anything_alike(settings):
    codec = PECentroidCodec(grid=(24, 31), **settings)
    generator = torch.Generator().manual_seed(0)
    coarse = torch.randn((2, 4 * codec.harmonics, 6, 8), generator=generator)
    maps = {'centroid_code': torch.nn.functional.interpolate(coarse, size=(40, 56), mode='bicubic')}
    foreground = torch.rand((2, 40, 56), generator=generator) < 0.8
    foreground[1, :, 20:] = False
    found, expected = codec.decode(maps, foreground), decode_pe_by_loop(codec, maps, foreground)
    assert len(found[0]) >= 4
    for one, other in zip(found, expected, strict=True):
        assert find_score_difference([one], [other], 'loop', len(one)) is None
    (empty,) = decode_pe_by_loop(codec, {'centroid_code': maps['centroid_code'][:1]}, torch.zeros_like(foreground[:1]))
    assert len(empty) == 0


def test_differences_are_seen():
    (_, case), *_ = pe_decode_cases([((60, 80), (30, 40))], [3], torch.device('cpu'))
    found, expected = case.ours(), case.baseline()
    assert case.differs(found, expected) is None
    (one,) = found
    assert 'different instances' in case.differs([replace(one, scores=one.scores - 1e-3)], expected)
    assert 'different instances' in case.differs([replace(one, ids=one.ids.roll(1, 0))], expected)
    assert '2 instances are found' in case.differs([one.select(torch.tensor([True, True, False]))], expected)
