"""tools/benchmark.py phrases on the tiny model; nothing here looks at a time."""

import csv
from pathlib import Path

import pytest

from mmext_instseg.engine.benchmark import measurement, phrase_cases, read_model
from mmext_instseg.models.detectors import InstanceCLIPSeg

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
TINY = CONFIGS / 'instance_clipseg' / 'instance_clipseg_tiny_shapes.py'
SMALL = ('phrases', '--config', TINY, '--size', '64x64', '--pairs', '1')


def test_table_and_files(tool, tmp_path):
    status, text = tool('benchmark.py', *SMALL, '--phrases', '1', '3', '--out', tmp_path)
    assert status == 0, text
    with (tmp_path / 'phrases.csv').open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row['phrases'] for row in rows] == ['1', '3']
    assert all(float(row['ratio']) > 0 and float(row['loop MiB']) > 0 for row in rows)
    assert (tmp_path / 'phrases.png').stat().st_size > 5000 and (tmp_path / 'phrases.md').is_file()


def test_maps_that_depend_on_other_phrases_are_not_timed(tool, monkeypatch):
    right = InstanceCLIPSeg.maps_of

    def wrong(self, feats, condition, image, shape):
        return right(self, feats, condition + condition.mean(dim=0), image, shape)

    monkeypatch.setattr(InstanceCLIPSeg, 'maps_of', wrong)
    monkeypatch.setattr(measurement, 'run_seconds', lambda *_: pytest.fail('timed'))
    status, text = tool('benchmark.py', *SMALL, '--phrases', '2')
    assert status.startswith('error: phrases 2: the map mask_prob of "a red dog" depends on the other phrases') and not text


def test_the_image_is_encoded_once(monkeypatch):
    encoded, right = [], InstanceCLIPSeg.extract_feat
    monkeypatch.setattr(InstanceCLIPSeg, 'extract_feat', lambda self, x: (encoded.append(len(x)), right(self, x))[1])
    (case,) = phrase_cases(read_model(str(TINY)), (64, 64), [3], 'cpu')
    case.ours()
    assert encoded == [1]
    case.baseline()
    assert encoded == [1] * 4


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (('--phrases', '65'), 'words for 64 of them, not 65'),
        (('--config', CONFIGS / 'dcme' / 'dcme_tiny_shapes.py'), 'a BottomUpSegmentor takes no phrases'),
    ],
)
def test_bad_settings_end_with_a_message(tool, words, message):
    status, _ = tool('benchmark.py', *SMALL, *words)
    assert status.startswith('error: ') and message in status
