"""Tensors of a TorchScript archive, read without running any of it."""

import io
import pickle
import zipfile
from collections import OrderedDict
from typing import Any

import torch
from torch import Tensor

STORAGES = {
    'torch.FloatStorage': torch.float32,
    'torch.HalfStorage': torch.float16,
    'torch.BFloat16Storage': torch.bfloat16,
    'torch.DoubleStorage': torch.float64,
    'torch.LongStorage': torch.int64,
    'torch.IntStorage': torch.int32,
    'torch.ShortStorage': torch.int16,
    'torch.CharStorage': torch.int8,
    'torch.ByteStorage': torch.uint8,
    'torch.BoolStorage': torch.bool,
}


def is_torchscript(path: str) -> bool:
    """Whether a file is an archive of `torch.jit.save`, as OpenAI publishes CLIP."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.count('/') == 1 and name.endswith('/constants.pkl') for name in archive.namelist())


def read_torchscript(path: str) -> dict[str, Tensor]:
    """Parameters and buffers by name, as the module's `state_dict()` would give them (and its other tensors).

    `torch.jit.load` would run the program in the archive where a class of it has `__setstate__`; here only the tree of attributes
    and the tensors' bytes are read.

    Raises:
        pickle.UnpicklingError: the archive asks for anything but modules and tensors.
        zipfile.BadZipFile: it is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        root = next(name for name in archive.namelist() if name.count('/') == 1 and name.endswith('/data.pkl')).removesuffix('data.pkl')
        tree = _Unpickler(archive, root).load()
    found: dict[str, Tensor] = {}
    _collect(tree, '', found)
    return found


class _Module:
    """Stands for any module of the archive; its attributes are in `__dict__`."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise pickle.UnpicklingError('a module of the TorchScript archive restores itself by a program of its own')
        vars(self).update(state)


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        super().__init__(io.BytesIO(archive.read(f'{root}data.pkl')))
        self.archive, self.root = archive, root

    def find_class(self, module: str, name: str) -> Any:
        known = {'torch._utils._rebuild_tensor_v2': _rebuild, 'collections.OrderedDict': OrderedDict}
        full = f'{module}.{name}'
        if full in known:
            return known[full]
        if full in STORAGES:
            return STORAGES[full]
        if module.split('.')[0] == '__torch__':
            return _Module
        raise pickle.UnpicklingError(f'a TorchScript archive of weights has no need of {full}')

    def persistent_load(self, pid: Any) -> Tensor:
        """('storage', type, name, device, number of elements) -> a flat tensor."""
        _, dtype, name, _, numel = pid
        data = bytearray(self.archive.read(f'{self.root}data/{name}'))
        return torch.frombuffer(data, dtype=dtype, count=numel) if numel else torch.empty(0, dtype=dtype)


def _rebuild(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> Tensor:
    return storage.as_strided(size, stride, offset)


def _collect(node: Any, name: str, found: dict[str, Tensor]) -> None:
    if isinstance(node, Tensor):
        found[name] = node
    elif isinstance(node, _Module):
        for key, value in vars(node).items():
            _collect(value, f'{name}.{key}' if name else key, found)
