"""Checkpoints that mmengine pickled become files that load safely, and nothing in a hostile one runs."""

import os
import pickle
import subprocess
import sys
from collections import OrderedDict, defaultdict
from pathlib import Path

import mmengine
import numpy as np
import pytest
import torch
from converters import load
from mmengine.config import ConfigDict
from mmengine.logging import HistoryBuffer, MessageHub

import mmext_instseg  # noqa: F401
from mmext_instseg.compat.checkpoints import upstream

TOOL = Path(__file__).parents[2] / 'tools' / 'convert_checkpoint.py'

# A run of mmengine as it comes, in a process that never hears of our package.
VANILLA = """
import sys
import torch
from mmengine.model import BaseModel
from mmengine.runner import Runner

class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(2, 1)
    def forward(self, x, y, mode):
        return {'loss': (self.linear(x) - y).square().mean()}

class Numbers(torch.utils.data.Dataset):
    metainfo = {'classes': ('a', 'b')}
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return {'x': torch.ones(2), 'y': torch.ones(1)}

Runner(
    Line(), sys.argv[1], train_dataloader={'dataset': Numbers(), 'batch_size': 2, 'sampler': {'type': 'DefaultSampler', 'shuffle': False},
    'collate_fn': {'type': 'default_collate'}}, train_cfg={'by_epoch': True, 'max_epochs': 1},
    optim_wrapper={'optimizer': {'type': 'Adam', 'lr': 0.1}},
    param_scheduler=[{'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 8, 'by_epoch': False}]).train()
assert 'mmext_instseg' not in sys.modules
"""

tool = load('convert_checkpoint')


@pytest.fixture(scope='module')
def vanilla(tmp_path_factory):
    """A checkpoint that mmengine 0.10.7 saved."""
    folder = tmp_path_factory.mktemp('vanilla')
    subprocess.run([sys.executable, '-c', VANILLA, str(folder)], check=True, capture_output=True)
    return folder / 'epoch_1.pth'


def same(one, other):
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert list(one) == list(other)


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_a_run_of_mmengine(vanilla, tmp_path, capsys, zipped):
    expected = torch.load(vanilla, weights_only=False)
    source, target = tmp_path / 'source.pth', tmp_path / 'target.pth'
    torch.save(expected, source, _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(source, weights_only=True)
    before = source.read_bytes()

    assert tool.main([str(source), str(target)]) == 0
    report = capsys.readouterr().out
    assert 'kept      state_dict: 2 weights, 3 values' in report
    assert 'dataset_meta' in report
    assert 'left out  param_schedulers[0].anneal_func (builtins.getattr)' in report
    assert source.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['source.pth', 'target.pth']

    found = torch.load(target, weights_only=True)
    same(found['state_dict'], expected['state_dict'])
    assert found['state_dict']._metadata == expected['state_dict']._metadata
    assert found['meta'] == expected['meta']
    torch.testing.assert_close(found['optimizer'], expected['optimizer'], rtol=0, atol=0)

    hub = MessageHub.get_instance(f'converted {zipped}')
    hub.load_state_dict(upstream._load_checkpoint(str(target), 'cpu')['message_hub'])
    for name, history in expected['message_hub']['log_scalars'].items():
        assert isinstance(hub.log_scalars[name], HistoryBuffer)
        for one, other in zip(hub.log_scalars[name].data, history.data, strict=True):
            np.testing.assert_array_equal(one, other)


def test_values_mmengine_and_the_zoo_put_into_checkpoints(tmp_path):
    content = {
        'state_dict': OrderedDict(weight=torch.arange(3.0)),
        'meta': {
            'score': np.float64(0.25),
            'flag': np.bool_(True),
            'palette': np.array([[1, 2, 3], [4, 5, 6]], dtype=np.uint8),
            'columns': np.asfortranarray([[1, 2], [3, 4]]),
            'big endian': np.array([1, 258], dtype='>i4'),
            'names': np.array(['cat', 'dog']),
            'objects': np.array(['cat', None], dtype=object),
            'empty': np.array([]),
            'cfg': ConfigDict(a=ConfigDict(b=1)),
            'counts': defaultdict(int, {'a': 1}),
            'path': Path('/a/b'),
            'hub': MessageHub.get_instance('pickled whole'),
        },
    }
    torch.save(content, tmp_path / 'source.pth')
    report = tool.convert(tmp_path / 'source.pth', tmp_path / 'target.pth')
    meta = torch.load(tmp_path / 'target.pth', weights_only=True)['meta']
    assert meta == {
        'score': 0.25,
        'flag': True,
        'palette': [[1, 2, 3], [4, 5, 6]],
        'columns': [[1, 2], [3, 4]],
        'big endian': [1, 258],
        'names': ['cat', 'dog'],
        'objects': ['cat', None],
        'empty': [],
        'cfg': {'a': {'b': 1}},
        'counts': {'a': 1},
        'path': '/a/b',
    }
    assert report[-1] == 'left out  meta.hub (mmengine.logging.message_hub.MessageHub)'


class Call:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return self.function, self.arguments

    def __call__(self):
        """Pickle insists that what is called is callable."""


def object_scalar():
    """A NumPy scalar of Python objects made of raw bytes, that is, of pointers of the author's choice."""
    return Call(np.float64(0).__reduce__()[0], np.dtype('O'), b'A' * 8)


@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
@pytest.mark.parametrize(
    ('payload', 'reason'),
    [
        (lambda marker: Call(os.system, f'touch {marker}'), 'asks for posix.system'),
        (lambda marker: Call(eval, f'open({str(marker)!r}, "w")'), 'asks for eval'),
        (lambda marker: Call(subprocess.check_call, ['touch', str(marker)]), 'check_call'),
        (lambda marker: Call(Call(getattr, np.ndarray, 'tofile'), np.ones(1), str(marker)), 'call reduce for unrecognized function'),
        (lambda marker: object_scalar(), 'OBJECT array'),
    ],
    ids=['system', 'eval', 'subprocess', 'getattr', 'pointers'],
)
def test_attacks_are_refused(tmp_path, capsys, zipped, payload, reason):
    source, target, marker = tmp_path / 'source.pth', tmp_path / 'target.pth', tmp_path / 'owned'
    content = {'state_dict': {'weight': torch.ones(1)}, 'meta': payload(marker)}
    torch.save(content, source, _use_new_zipfile_serialization=zipped)
    assert tool.main([str(source), str(target)]) == 1
    error = capsys.readouterr().err
    assert f'{source} is refused, nothing was written' in error
    assert reason in error
    assert not marker.exists()
    assert not target.exists()


def test_functions_of_openmmlab_are_not_called(tmp_path):
    """`mmengine.load` unpickles files: the stand-in for it does nothing."""
    (tmp_path / 'inner.pkl').write_bytes(pickle.dumps(Call(os.system, f'touch {tmp_path / "owned"}')))
    torch.save({'state_dict': {}, 'meta': {'x': Call(mmengine.load, str(tmp_path / 'inner.pkl'))}}, tmp_path / 'source.pth')
    report = tool.convert(tmp_path / 'source.pth', tmp_path / 'target.pth')
    assert report[-1] == 'left out  meta.x (mmengine.fileio.io.load)'
    assert not (tmp_path / 'owned').exists()


def test_plain_weights_stay_as_they_are(tmp_path, capsys):
    state = torch.nn.Linear(2, 3).state_dict()
    torch.save(state, tmp_path / 'source.pth')
    assert tool.main([str(tmp_path / 'source.pth'), str(tmp_path / 'target.pth')]) == 0
    assert 'kept      2 weights, 9 values' in capsys.readouterr().out
    same(torch.load(tmp_path / 'target.pth', weights_only=True), state)


def test_no_file_is_overwritten(vanilla, tmp_path, capsys):
    before = vanilla.read_bytes()
    link = tmp_path / 'link.pth'
    link.symlink_to(vanilla)
    for target in (vanilla, link):
        with pytest.raises(SystemExit):
            tool.main([str(vanilla), str(target)])
        assert f'{target} exists; name a new file' in capsys.readouterr().err
    assert vanilla.read_bytes() == before


@pytest.mark.parametrize('content', [b'', b'PK\x03\x04', b'no checkpoint'])
def test_other_files_are_refused(tmp_path, capsys, content):
    (tmp_path / 'source.pth').write_bytes(content)
    assert tool.main([str(tmp_path / 'source.pth'), str(tmp_path / 'target.pth')]) == 1
    assert 'source.pth is refused' in capsys.readouterr().err


def test_command_line(vanilla, tmp_path):
    done = subprocess.run([sys.executable, str(TOOL), str(vanilla), str(tmp_path / 'new.pth')], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(f'written   {tmp_path / "new.pth"}\n')
    with pytest.raises(SystemExit) as stop:
        tool.main(['--help'])
    assert stop.value.code == 0
