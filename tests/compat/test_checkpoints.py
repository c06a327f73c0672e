"""Checkpoints hold plain data only, give everything back on resume, and never run what a stranger put into one."""

import enum
import io
import os
import uuid
from collections import Counter, OrderedDict, namedtuple
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from mmengine.config import ConfigDict
from mmengine.fileio import LocalBackend
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, load_checkpoint
from mmengine.runner import checkpoint as upstream
from torch.utils.data import Dataset

from mmext_instseg.compat import checkpoints

checkpoints.apply()


class Numbers(Dataset):
    """Eight fixed samples, with NumPy values in the meta data as some data sets have them."""

    def __init__(self):
        self.metainfo = {'classes': ('a', 'b'), 'palette': np.array([[1, 2, 3], [4, 5, 6]])}

    def __len__(self):
        return 8

    def __getitem__(self, index):
        return {'x': torch.tensor([index, 1.0]).sin(), 'y': torch.tensor([index / 8])}


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.linear = torch.nn.Linear(2, 1)

    def forward(self, x, y, mode):
        return {'loss': (self.linear(x) - y).square().mean()}


class ScalerOptimWrapper(OptimWrapper):
    """Carries the state that AmpOptimWrapper adds, which itself wants a GPU."""

    def __init__(self, *args):
        super().__init__(*args)
        self.scaler = {'scale': 65536.0, '_growth_tracker': 0}

    def step(self, **kwargs):
        self.scaler = {**self.scaler, '_growth_tracker': self.scaler['_growth_tracker'] + 1}
        super().step(**kwargs)

    def state_dict(self):
        return {**super().state_dict(), 'loss_scaler': self.scaler}

    def load_state_dict(self, state_dict):
        self.scaler = state_dict.pop('loss_scaler')
        super().load_state_dict(state_dict)


def runner(work_dir, epochs, checkpoint=None, **keywords):
    model = Line()
    return Runner(
        model,
        str(work_dir),
        train_dataloader={
            'dataset': Numbers(),
            'batch_size': 2,
            'sampler': {'type': 'DefaultSampler', 'shuffle': False},
            'collate_fn': {'type': 'default_collate'},
        },
        train_cfg={'by_epoch': True, 'max_epochs': epochs},
        optim_wrapper=ScalerOptimWrapper(torch.optim.Adam(model.parameters(), lr=0.1)),
        param_scheduler=[
            {'type': 'OneCycleLR', 'eta_max': 0.1, 'total_steps': 20, 'by_epoch': False, 'end': 20},
            {'type': 'MultiStepLR', 'milestones': [2], 'by_epoch': True, 'end': 10},
        ],
        default_hooks={
            'checkpoint': {'type': 'CheckpointHook', 'interval': 1, **(checkpoint or {})},
            'logger': {'type': 'LoggerHook', 'interval': 1},
        },
        custom_hooks=[{'type': 'EMAHook'}],
        experiment_name=uuid.uuid4().hex,
        **keywords,
    )


class Payload:
    """Pickles as a call that creates a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f'touch {self.marker}',)


@pytest.fixture(params=['zip', 'legacy'])
def attack(request, tmp_path):
    """A checkpoint file with a payload, and the file that exists once the payload has run."""
    path, marker = tmp_path / 'attack.pth', tmp_path / 'owned'
    content = {'state_dict': Line().state_dict(), 'meta': {'epoch': 1, 'iter': 4, 'payload': Payload(marker)}}
    torch.save(content, path, _use_new_zipfile_serialization=request.param == 'zip')
    return path, marker


# Values


class Colour(enum.IntEnum):
    RED = 3


Pair = namedtuple('Pair', 'a b')
VALUES = [
    (np.float64(0.5), 0.5),
    (np.int64(7), 7),
    (np.bool_(True), True),
    (np.str_('cat'), 'cat'),
    (np.array([[1, 2], [3, 4]]), [[1, 2], [3, 4]]),
    ((1, 'a', None, b'x', 1j), (1, 'a', None, b'x', 1j)),
    (Pair(1, np.float32(2)), (1, 2.0)),
    ({np.int64(3): np.int64(4)}, {3: 4}),
    (ConfigDict(a=ConfigDict(b=1)), {'a': {'b': 1}}),
    (Counter({2: 1}), Counter({2: 1})),
    (frozenset({1}), {1}),
    (Colour.RED, 3),
    (Path('a/b'), 'a/b'),
    ([1, len, 3], [1, None, 3]),
    ({'keep': 1, 'drop': len}, {'keep': 1}),
]


@pytest.mark.parametrize(('value', 'expected'), VALUES, ids=lambda value: type(value).__name__)
def test_plain_loads_weights_only_and_has_builtin_types(tmp_path, value, expected):
    torch.save(checkpoints.plain(value, []), tmp_path / 'x.pth')
    loaded = torch.load(tmp_path / 'x.pth', weights_only=True)
    assert loaded == expected
    assert type(loaded) is type(expected)


LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats(allow_nan=False) | st.text() | st.binary() | st.complex_numbers()
)
DATA = st.recursive(
    LEAVES.filter(lambda leaf: leaf == leaf),
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text() | st.integers(), inner),
)


@given(DATA)
def test_all_plain_data_survives(value):
    file = io.BytesIO()
    torch.save(checkpoints.plain(value, []), file)
    file.seek(0)
    assert torch.load(file, weights_only=True) == value


def test_plain_keeps_what_a_state_dict_carries():
    state = torch.nn.BatchNorm1d(2).state_dict()
    result = checkpoints.plain(state, [])
    assert isinstance(result, OrderedDict)
    assert result._metadata == {'': {'version': 2}}
    assert result['running_mean'] is state['running_mean']


def test_plain_names_what_has_no_plain_form():
    left_out = []
    checkpoints.plain({'meta': {'hook': torch.nn.ReLU(), 'list': [1, len]}}, left_out)
    assert left_out == ['meta.hook (torch.nn.modules.activation.ReLU)', 'meta.list[1] (builtins.builtin_function_or_method)']


# Runs


def test_checkpoint_of_a_run_is_plain_and_resume_continues_it(tmp_path):
    straight = runner(tmp_path / 'straight', 3)
    straight.train()
    runner(tmp_path / 'parts', 2, {'published_keys': ['meta', 'state_dict']}).train()
    for path in (tmp_path / 'parts').glob('*.pth'):
        torch.load(path, weights_only=True)
    assert len(list((tmp_path / 'parts').glob('epoch_2-*.pth'))) == 1, 'the published file'

    resumed = runner(tmp_path / 'parts', 3, resume=True)
    resumed.train()
    assert resumed.iter == straight.iter == 12
    for key in ('train/loss', 'train/lr'):
        expected, found = (run.message_hub.log_scalars[key] for run in (straight, resumed))
        assert isinstance(found, HistoryBuffer)
        for one, other in zip(expected.data, found.data, strict=True):
            assert one.dtype == other.dtype
            assert one.tolist() == other.tolist()
        assert len(expected.data[0]) == 12
        assert found.mean(5) == expected.mean(5)
    one, other = (torch.load(tmp_path / name / 'epoch_3.pth', weights_only=True) for name in ('straight', 'parts'))
    for part in ('state_dict', 'ema_state_dict'):
        assert one[part].keys() == other[part].keys()
        assert all(torch.equal(one[part][name], other[part][name]) for name in one[part])
    torch.testing.assert_close(one['optimizer']['state'], other['optimizer']['state'], rtol=0, atol=0)
    assert one['optimizer']['param_groups'] == other['optimizer']['param_groups']
    assert one['optimizer']['loss_scaler'] == other['optimizer']['loss_scaler'] == {'scale': 65536.0, '_growth_tracker': 12}
    assert one['param_schedulers'] == other['param_schedulers']
    assert other['meta']['dataset_meta'] == {'classes': ('a', 'b'), 'palette': [[1, 2, 3], [4, 5, 6]]}


def test_a_save_cut_short_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    put = LocalBackend.put

    def half(self, data, path):
        if 'epoch_2' in str(path):
            put(self, data[: len(data) // 2], path)
            raise OSError('killed')
        put(self, data, path)

    monkeypatch.setattr(LocalBackend, 'put', half)
    with pytest.raises(OSError, match='killed'):
        runner(tmp_path, 3, {'max_keep_ckpts': 1}).train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert (tmp_path / 'last_checkpoint').read_text() == str(tmp_path / 'epoch_1.pth')
    monkeypatch.undo()
    runner(tmp_path, 3, {'max_keep_ckpts': 1}, resume=True).train()
    assert [path.name for path in tmp_path.glob('*.pth')] == ['epoch_3.pth']


def test_a_better_checkpoint_of_the_same_name_stays(tmp_path):
    run = runner(tmp_path, 1, {'save_best': 'score', 'rule': 'greater'})
    run.train()
    hook = next(hook for hook in run.hooks if type(hook).__name__ == 'CheckpointHook')
    hook.after_val_epoch(run, {'score': 0.5})
    hook.after_val_epoch(run, {'score': 0.7})
    assert Path(hook.best_ckpt_path).is_file()


def test_second_apply_changes_nothing():
    before = upstream.torch, upstream.load_url, upstream.save_checkpoint
    checkpoints.apply()
    assert before == (upstream.torch, upstream.load_url, upstream.save_checkpoint)


# Attacks


def test_the_payload_is_a_real_one(attack):
    path, marker = attack
    torch.load(path, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize('loader', ['load_checkpoint', 'resume', 'load_from', 'prefix'])
def test_attack_is_refused(attack, tmp_path, monkeypatch, loader):
    path, marker = attack
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    call = {
        'load_checkpoint': partial(load_checkpoint, Line(), str(path)),
        'resume': lambda: runner(tmp_path / 'run', 2, resume=True, load_from=str(path)).train(),
        'load_from': lambda: runner(tmp_path / 'run', 2, load_from=str(path)).train(),
        'prefix': partial(upstream._load_checkpoint_with_prefix, 'linear', str(path)),
    }[loader]
    with pytest.raises(checkpoints.pickle.UnpicklingError, match=rf'{path} is refused.*posix\.system.*convert_checkpoint\.py'):
        call()
    assert not marker.exists()


def test_attack_from_an_url_is_refused(attack, tmp_path):
    path, marker = attack
    with pytest.raises(checkpoints.pickle.UnpicklingError):
        upstream.load_url(path.as_uri(), model_dir=str(tmp_path / 'cache'))
    assert not marker.exists()


def test_config_text_is_not_executed_on_resume(tmp_path):
    runner(tmp_path, 1).train()
    path, marker = tmp_path / 'epoch_1.pth', tmp_path / 'owned'
    content = torch.load(path, weights_only=True)
    content['meta']['config'] = f"open({str(marker)!r}, 'w')\n"
    torch.save(content, path)
    resumed = runner(tmp_path, 2, resume=True, load_from=str(path))
    resumed.train()
    assert resumed.iter == 8
    assert not marker.exists()


@pytest.mark.parametrize('size', [0, 500])
def test_damaged_file_is_named(tmp_path, size):
    torch.save({'state_dict': Line().state_dict()}, tmp_path / 'cut.pth')
    os.truncate(tmp_path / 'cut.pth', size)
    with pytest.raises(RuntimeError, match=r'cut\.pth cannot be loaded'):
        load_checkpoint(Line(), str(tmp_path / 'cut.pth'))
