"""tools/benchmark.py and what it measures with; nothing here looks at a time."""

import csv
from dataclasses import replace
from functools import partial

import pytest
import torch

from mmext_instseg.codecs import DCMECodec
from mmext_instseg.engine.benchmark import Case, decode_by_loop, describe_machine, measure
from mmext_instseg.engine.benchmark.decode import draw_blobs, find_difference
from mmext_instseg.engine.benchmark.measurement import peak_bytes, run_seconds

CPU = torch.device('cpu')
SMALL = ('decode', '--sizes', '48x96', '96x96', '--instances', '1', '4', '--pairs', '2')


def test_table_and_files(tool, tmp_path):
    status, text = tool('benchmark.py', *SMALL, '--out', tmp_path / 'new')
    assert status == 0, text
    with (tmp_path / 'new' / 'decode.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row['size'], row['instances']) for row in rows] == [('48x96', '1'), ('48x96', '4'), ('96x96', '100')]
    for row in rows:
        assert float(row['lowest']) <= float(row['ratio']) <= float(row['highest'])
        assert float(row['MiB']) > 0 and float(row['loop MiB']) > 0
    markdown = (tmp_path / 'new' / 'decode.md').read_text()
    assert markdown.startswith('| size | instances | ms | loop ms | ratio | lowest | highest |') and '\n2 pairs of runs a row; ' in markdown
    assert text.splitlines()[-3:] == [str(tmp_path / 'new' / f'decode.{ending}') for ending in ('csv', 'md', 'png')]
    assert (tmp_path / 'new' / 'decode.png').stat().st_size > 5000


@pytest.mark.parametrize('broken', ['ids', 'scores'])
def test_different_results_are_not_timed(tool, tmp_path, monkeypatch, broken):
    def wrong(self, maps, foreground=None, right=DCMECodec.decode):
        (found,) = right(self, maps, foreground)
        if broken == 'scores':
            return [replace(found, scores=found.scores * 0.999)]
        return [replace(found, ids=torch.where(found.ids > 0, found.ids % len(found) + 1, 0))]  # the same objects, numbered otherwise

    monkeypatch.setattr(DCMECodec, 'decode', wrong)
    monkeypatch.setattr('mmext_instseg.engine.benchmark.measurement.run_seconds', lambda *_: pytest.fail('timed'))
    status, text = tool('benchmark.py', 'decode', '--sizes', '48x96', '--instances', '4', '--out', tmp_path / 'new')
    assert status == f'error: size 48x96, instances 4: the decoder and the loop give different {broken}, so their times say nothing'
    assert not text and not (tmp_path / 'new').exists()


def test_bad_arguments(tool, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for words in (
        ('--sizes', '512'),
        ('--sizes', '0x4'),
        ('--instances', '0'),
        ('--pairs', '1.5'),
        ('--device', 'tpu'),
        ('--device', 'cuda'),
    ):
        assert tool('benchmark.py', 'decode', *words)[0] == 2
    status, _ = tool('benchmark.py', 'decode', '--sizes', '16x16', '--instances', '100')
    assert 'instances are found, so their size is too small for the codec; give fewer instances or more pixels' in status
    assert tool('benchmark.py', 'sleep')[0] == 2


@pytest.mark.parametrize('words', [(), ('decode',)])
def test_help_has_an_example(tool, words):
    status, text = tool('benchmark.py', *words, '--help')
    assert status == 0
    assert 'example:\n  python tools/benchmark.py decode --out work_dirs/benchmark' in text


@pytest.mark.parametrize('settings', [{}, dict(unit=8.0, cell=2.0, min_area=9), dict(peak_radius=1, join_radius=3, min_votes=2.0)])
def test_the_loop_decodes_anything_alike(settings):
    codec, generator = DCMECodec(**settings), torch.Generator().manual_seed(0)
    vectors = torch.randn((3, 2, 40, 56), generator=generator) * 6 / codec.unit  # many near ties, some votes outside the map
    foreground = torch.rand((3, 40, 56), generator=generator) < 0.6
    foreground[1] = False
    found, expected = codec.decode({'displacement': vectors}, foreground), decode_by_loop(codec, {'displacement': vectors}, foreground)
    assert len(found[0]) > 10 and len(found[1]) == 0
    for one, other in zip(found, expected, strict=True):
        assert find_difference([one], [other], len(one)) is None


@pytest.mark.parametrize(('shape', 'count'), [((64, 128), 1), ((64, 128), 7), ((128, 64), 30), ((50, 30), 2)])
def test_blobs_are_apart_and_as_many_as_asked(shape, count):
    blobs = draw_blobs(shape, count)
    assert len(blobs) == count and blobs.areas.min() > 0
    assert blobs.areas.sum() / (shape[0] * shape[1]) == pytest.approx(0.5, abs=0.1)
    (found,) = DCMECodec().decode({name: value[None] for name, value in DCMECodec().encode(blobs)[0].items()}, (blobs.ids > 0)[None])
    assert found.areas.sort().values.tolist() == blobs.areas.sort().values.tolist()


def test_runs_alternate_after_the_comparison():
    calls = []

    def run(name):
        calls.append(name)
        return name.lower()

    case = Case({}, 1, partial(run, 'A'), partial(run, 'B'), lambda ours, baseline: None if (ours, baseline) == ('a', 'b') else 'swapped')
    measurement = measure(case, 3, CPU)
    assert ''.join(calls) == 'AB' + 'AB' + 'BA' + 'AB' + 'AB', 'compared, three pairs, memory of both'
    assert len(measurement.seconds) == 3
    timed = replace(measurement, seconds=[(2.0, 4.0), (1.0, 5.0), (4.0, 4.0)])
    assert (timed.ours_seconds, timed.baseline_seconds, timed.ratios) == (2.0, 4.0, [1.0, 2.0, 5.0])


def test_peak_memory_is_what_was_held_at_once():
    before = torch.zeros(1 << 22, dtype=torch.uint8)

    def run():
        first, second = torch.empty(1 << 20, dtype=torch.uint8), torch.empty(1 << 21, dtype=torch.uint8)
        del first
        return second, torch.empty(1 << 19, dtype=torch.uint8), before

    assert peak_bytes(run, CPU) == (1 << 20) + (1 << 21)


@pytest.mark.parametrize('codec', [DCMECodec(), DCMECodec(max_miss=0.5), DCMECodec(peak_radius=3, join_radius=12, max_miss=0.5, cell=2.0)])
def test_the_loop_takes_every_setting(codec):
    blobs = draw_blobs((64, 96), 6)
    maps = {
        name: (value + torch.randn(value.shape, generator=torch.Generator().manual_seed(0)))[None]
        for name, value in codec.encode(blobs)[0].items()
    }
    everywhere = torch.ones(1, 64, 96, dtype=torch.bool)
    found, expected = codec.decode(maps, everywhere), decode_by_loop(codec, maps, everywhere)
    assert len(found[0]) and find_difference(found, expected, len(found[0])) is None


@pytest.mark.parametrize(('threads', 'seconds', 'name'), [(1, 2.0, 'CPU time'), (2, 5.0, 'wall time')])
def test_one_thread_counts_its_own_time(monkeypatch, threads, seconds, name):
    now = {'perf_counter': 0.0, 'process_time': 0.0}

    def run():
        now.update(perf_counter=5.0, process_time=2.0)

    monkeypatch.setattr(torch, 'get_num_threads', lambda: threads)
    for clock in now:
        monkeypatch.setattr(f'time.{clock}', lambda clock=clock: now[clock])
    assert run_seconds(run, CPU) == seconds
    assert f', {threads} CPU thread(s), {name}, ' in describe_machine(CPU)
