"""Checkpoints that hold no code: mmengine saves plain data and loads with `weights_only=True`, whatever its version.

mmengine 0.10.7 pickles `HistoryBuffer`s, NumPy values and scheduler functions into its checkpoints, which torch >= 2.6
refuses to load (open-mmlab/mmengine#1655); 0.11.0rc0 and the onedl fork load them by switching the protection off.
Here the writer is cured instead: what is saved is plain data that any weights-only load accepts, and what is loaded is turned
back, so that hooks and `Runner.resume` see what they always saw. Nothing is added to torch's allow-list.

It can go when mmengine saves plain data itself.
"""

import logging
import os
import pickle
import re
from collections import Counter, OrderedDict, deque
from collections.abc import Mapping
from functools import lru_cache, partial, wraps
from typing import Any

import mmengine.runner
import mmengine.runner.runner
import numpy as np
import torch
from mmengine.hooks import CheckpointHook, checkpoint_hook
from mmengine.logging import HistoryBuffer, print_log
from mmengine.runner import checkpoint as upstream

from .config_text import inert
from .durable_files import find_latest_checkpoint, put_in_place, whole

PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, torch.Size, torch.dtype, torch.device)
CONFIG_TEXTS = (('meta', 'config'), ('meta', 'cfg'), ('message_hub', 'runtime_info', 'cfg'))
LEFT_OUT = object()


def plain(value: Any, left_out: list[str], path: str = '') -> Any:
    """`value` as data that `torch.load(weights_only=True)` accepts; tensors are kept as they are, not copied.

    A `HistoryBuffer` becomes a dict of two tensors and a length, NumPy values become Python's, containers built-in ones
    (`OrderedDict` keeps the attributes that `state_dict()` puts on it). Anything else has no plain form: it is left out of its dict
    (None in a sequence), and `left_out` is extended by its path and type.
    """
    kind = type(value)
    if kind is bytes and not value:
        return bytearray()  # equal to b'', which pickle writes as a call that isn't allowed
    if kind in PLAIN or isinstance(value, torch.Tensor):
        return value
    if isinstance(value, HistoryBuffer):
        log_history, count_history = (torch.as_tensor(history) for history in value.data)
        return {'log_history': log_history, 'count_history': count_history, 'max_length': value.max_length}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist(), left_out, path)
    if isinstance(value, Mapping):
        result: dict = kind() if kind in (OrderedDict, Counter) else {}
        for key, item in value.items():
            item = plain(item, left_out, f'{path}.{key}' if path else str(key))
            if item is not LEFT_OUT:
                result[plain(key, left_out, path)] = item
        if kind is OrderedDict:
            vars(result).update(plain(vars(value), left_out, path))
        return result
    if isinstance(value, list | tuple | set | frozenset | deque):
        items = [plain(item, left_out, f'{path}[{index}]') for index, item in enumerate(value)]
        sequence = tuple if isinstance(value, tuple) else set if isinstance(value, set | frozenset) else list
        return sequence(None if item is LEFT_OUT else item for item in items)
    for base in (int, float, str):  # enumerations and other children of plain types
        if isinstance(value, base):
            return base(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    left_out.append(f'{path} ({kind.__module__}.{kind.__qualname__})')
    return LEFT_OUT


@lru_cache
def _warn(message: str) -> None:
    """Logs each message once, not once a checkpoint."""
    print_log(message, 'current', logging.WARNING)


def _section(checkpoint: Any, *keys: str) -> dict:
    """`checkpoint[key][key]...`, or an empty dict where there's no such dict."""
    for key in keys:
        checkpoint = checkpoint.get(key) if isinstance(checkpoint, dict) else None
    return checkpoint if isinstance(checkpoint, dict) else {}


def restore(checkpoint: Any, filename: str) -> Any:
    """The counterpart of `plain`, in place: `HistoryBuffer`s come back, and config texts that are more than data go.

    mmengine executes such a text: `Runner.resume` that of `meta['config']`, an inferencer without a config either of the others.
    """
    scalars = _section(checkpoint, 'message_hub', 'log_scalars')
    for name, history in scalars.items():
        if isinstance(history, dict) and history.keys() == {'log_history', 'count_history', 'max_length'}:
            logs, counts = (history[key].cpu().numpy() for key in ('log_history', 'count_history'))
            scalars[name] = HistoryBuffer(logs, counts, history['max_length'])
    for *keys, key in CONFIG_TEXTS:
        section = _section(checkpoint, *keys)
        if key in section and not inert(section[key]):
            del section[key]
            _warn(f'{filename}: the config stored in it is ignored, it could run code. Give the config file itself where one is needed.')
    return checkpoint


class _WeightsOnlyTorch:
    """torch as mmengine's checkpoint module sees it: `load` reads weights and plain data only, whatever the caller asks."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(file: Any, map_location: Any = None, **_: Any) -> Any:
        return torch.load(file, map_location=map_location, weights_only=True)


def refusal(error: Exception) -> str:
    """What a weights-only load objects to, without torch's advice to switch the protection off."""
    found = re.search(r'GLOBAL (\S+)', str(error))
    return f'it asks for {found[1]}' if found else str(error).split('WeightsUnpickler error: ')[-1].strip().split('\n')[0]


def _load_checkpoint(original: Any, cls: type, filename: str, map_location: Any = None, logger: Any = 'current') -> Any:
    """`CheckpointLoader.load_checkpoint`, the one gate of all local and remote loads.

    Raises:
        pickle.UnpicklingError: the file holds more than weights and plain data, or isn't a checkpoint. Nothing of it was run.
        RuntimeError: the file is damaged.
    """
    try:
        return restore(original(cls, filename, map_location, logger), filename)
    except pickle.UnpicklingError as error:
        raise pickle.UnpicklingError(
            f'{filename} is refused, since loading what it holds beside weights and plain data can run any program: {refusal(error)}. '
            'If it comes from a run of mmengine or from a model zoo, '
            f'`python tools/convert_checkpoint.py {filename} NEW.pth` makes a file that loads, running nothing.'
        ) from None
    except (EOFError, RuntimeError) as error:
        reason = str(error).split('\n')[0] or 'it is empty'
        raise RuntimeError(f'{filename} cannot be loaded: {reason} If it is damaged, give an earlier checkpoint of that run.') from error


def _save_checkpoint(
    original: Any, checkpoint: dict, filename: str, file_client_args: dict | None = None, backend_args: dict | None = None
) -> None:
    """mmengine's `save_checkpoint` with plain content; a local file appears whole or not at all."""
    left_out: list[str] = []
    content = plain(checkpoint, left_out)
    # Schedulers are rebuilt from the config before their state is put back, so their functions aren't missed.
    missed = [name for name in left_out if not name.startswith('param_schedulers')]
    if missed:
        _warn(f'Left out of checkpoints, because only plain data loads safely: {", ".join(missed)}')
    if file_client_args or backend_args or '://' in str(filename):
        original(content, filename, file_client_args, backend_args)
        return
    temporary = f'{filename}.tmp'
    original(content, temporary)
    put_in_place(temporary, filename)


class _LateRemoval:
    """A file backend that notes what is to be removed instead of removing it."""

    def __init__(self, backend: Any) -> None:
        self.backend = backend
        self.noted: list[tuple[Any, str]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.backend, name)

    def remove(self, path: str) -> None:
        self.noted.append((self.backend.remove, path))

    def rmtree(self, path: str) -> None:
        self.noted.append((self.backend.rmtree, path))


def _prune_last(method: Any) -> Any:
    """mmengine's CheckpointHook removes the outdated checkpoint, then writes the new one: turned round, a kill costs nothing."""

    @wraps(method)
    def wrapped(self: CheckpointHook, *args: Any, **kwargs: Any) -> None:
        backend = getattr(self, 'file_backend', None)  # set before training only: nothing to remove otherwise
        if backend is None:
            return method(self, *args, **kwargs)
        self.file_backend = late = _LateRemoval(backend)
        try:
            method(self, *args, **kwargs)
        finally:
            self.file_backend = backend
        kept = {self.last_ckpt, getattr(self, 'best_ckpt_path', None), *getattr(self, 'best_ckpt_path_dict', {}).values()}
        for remove, path in late.noted:
            if path not in kept:
                remove(path)
        return None

    return wrapped


def _announce(method: Any) -> Any:
    """All ranks save, but hooks hear of it on rank 0 only: a stage `before_checkpoint` lets them collect what other ranks know."""

    @wraps(method)
    def wrapped(self: CheckpointHook, runner: Any, *args: Any, **kwargs: Any) -> None:
        runner.call_hook('before_checkpoint')
        method(self, runner, *args, **kwargs)

    return wrapped


def apply() -> None:
    """Puts the cures into mmengine's modules; a second call changes nothing."""
    if isinstance(upstream.torch, _WeightsOnlyTorch):
        return
    upstream.torch = _WeightsOnlyTorch()
    upstream.load_url = partial(upstream.load_url, weights_only=True)
    if hasattr(upstream, '_safe_torch_load'):  # onedl-mmengine: falls back to an unprotected load
        upstream._safe_torch_load = _WeightsOnlyTorch.load
    loader = upstream.CheckpointLoader
    loader.load_checkpoint = classmethod(partial(_load_checkpoint, loader.load_checkpoint.__func__))
    save = partial(_save_checkpoint, upstream.save_checkpoint)
    for module in (upstream, mmengine.runner, mmengine.runner.runner):
        module.save_checkpoint = save
    for name in ('_save_checkpoint_with_step', '_save_best_checkpoint'):
        setattr(CheckpointHook, name, _prune_last(getattr(CheckpointHook, name)))
    CheckpointHook._save_checkpoint_with_step = _announce(CheckpointHook._save_checkpoint_with_step)
    checkpoint_hook.open = whole  # its one use: the pointer, `last_checkpoint`
    mmengine.runner.runner.find_latest_checkpoint = find_latest_checkpoint
