"""tools/config_reference.py, and the committed page."""

import inspect
import re
from pathlib import Path

import pytest

from mmext_instseg import registry

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / 'docs' / 'reference.md'


def test_the_committed_page_is_up_to_date(tool, tmp_path):
    status, _ = tool('config_reference.py', '--out', tmp_path / 'reference.md')
    assert status == 0
    same = (tmp_path / 'reference.md').read_text() == PAGE.read_text()
    assert same, 'docs/reference.md is old: python tools/config_reference.py --out docs/reference.md'


def test_every_registered_name_is_there_once():
    ours = [
        name for kind in registry.__all__ for name, cls in getattr(registry, kind).module_dict.items() if 'mmext_instseg' in cls.__module__
    ]
    shown = re.findall(r'^### `(\w+)`$', PAGE.read_text(), re.MULTILINE)
    assert sorted(shown) == sorted(ours)


def test_an_entry_has_types_defaults_and_the_docstrings_words():
    (entry,) = re.findall(r'^### `DCMECodec`\n(.*?)^#', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert entry.startswith('\nDisplacement vectors and their decoding by votes. (`codecs.dcme`)\n')
    assert '| `peak_radius` | `int` | `2` | half-width, in cells, of the window of a peak and of the smoothing. |' in entry
    assert '| `max_miss` | `float \\| None` | `None` | where given, ' in entry
    codec = registry.TASK_UTILS.get('DCMECodec')
    assert re.findall(r'^\| `(\w+)` ', entry, re.MULTILINE) == list(inspect.signature(codec).parameters)


def test_a_heads_own_arguments_come_before_its_bases():
    (entry,) = re.findall(r'^### `DCMEHead`\n(.*?)^#', PAGE.read_text(), re.MULTILINE | re.DOTALL)
    names = re.findall(r'^\| `(\w+)` ', entry, re.MULTILINE)
    assert names[:2] == ['codec', 'loss_displacement'] and {'in_channels', 'in_index', 'num_convs'} <= set(names)
    assert 'out_channels' not in names, 'DCMEHead gives it itself'


@pytest.mark.parametrize('name', ['label_by', 'max_per_image', 'mask_threshold'])
def test_settings_of_test_cfg(name):
    (row,) = re.findall(rf'^\| `{name}` \| (.*)$', PAGE.read_text().split('## Settings')[1], re.MULTILINE)
    assert len(row.split('|')[-2].strip()) > 10
