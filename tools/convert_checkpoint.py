"""Makes a checkpoint that loads safely from one that holds pickled objects, without running anything in it.

Meant for model-zoo files and runs of the mmengine era. torch's weights-only unpickler reads the file, with inert stand-ins for the
few objects mmengine pickled (message hubs, NumPy values, scheduler functions); a file that asks for anything else is refused. Weights,
optimizer state, log history and meta data are kept as plain data, so training resumes from the result as well.
"""

import io
import os
import pickle
import pickletools
import re
import sys
import zipfile
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from _convert import command_line, run, write
from mmengine.logging import HistoryBuffer

from mmext_instseg.compat.checkpoints import plain


class Inert:
    """Stands in for any object that isn't data: takes whatever it is given and does nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass


class Dtype:
    """`numpy.dtype` of numbers, booleans and strings: NumPy's own unpickling takes flags and sizes that corrupt memory."""

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch(r'[biufcSU]\d+|O8', code):
            raise pickle.UnpicklingError(f'NumPy data of type {code!r}')
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        self.code = {'<': '<', '>': '>'}.get(state[1], '') + self.code

    def values(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data, self.code)  # raises for objects


class Array(list):
    """`numpy.ndarray` as nested lists of its values; an array of objects as one flat list."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, data = state
        if not isinstance(data, list):
            data = np.atleast_1d(dtype.values(data).reshape(shape, order='F' if fortran else 'C')).tolist()
        self[:] = data


class History(HistoryBuffer):
    """mmengine's log buffer; of its state, the three fields that are data."""

    def __setstate__(self, state: dict) -> None:
        super().__init__(state['_log_history'], state['_count_history'], int(state['max_length']))


STAND_INS: dict[str, Callable] = {
    r'mmengine\.logging\.history_buffer\.HistoryBuffer': History,
    r'mmengine\.config\.config\.ConfigDict': dict,
    r'numpy\.(_core|core)\.multiarray\._reconstruct': Array,
    r'numpy\.(_core|core)\.multiarray\.scalar': lambda dtype, data: dtype.values(data)[0].item(),
    r'numpy\.ndarray': Array,
    r'numpy\.dtype': Dtype,
    r'collections\.defaultdict': lambda *_: {},
    r'pathlib\.(Posix|Windows|)Path': os.path.join,
    r'builtins\.bytes': lambda: b'',  # an empty one is pickled as a call
    r'builtins\.frozenset': set,
    r'builtins\.(getattr|int|float|list|dict)': Inert,  # types stand in defaultdicts
    r'mm\w+\..*': Inert,
}


def stand_in(name: str) -> Callable | None:
    """What takes the place of `name`; None if the file has no business asking for it. Each Inert is a class that a report can name."""
    found = next((item for pattern, item in STAND_INS.items() if re.fullmatch(pattern, name)), None)
    module, _, qualname = name.rpartition('.')
    return type(qualname, (Inert,), {'__module__': module}) if found is Inert else found


def globals_in(path: Path) -> set[str]:
    """Dotted names of all classes and functions that a file of `torch.save` asks for, in its zip or its older format."""
    with path.open('rb') as file:
        if zipfile.is_zipfile(file):
            archive = zipfile.ZipFile(file)
            pickles = [io.BytesIO(archive.read(name)) for name in archive.namelist() if name.endswith('/data.pkl')]
        else:
            file.seek(0)
            pickles = [file] * 4  # one after the other: magic number, format version, system, the object itself
        operations = [operation for stream in pickles for operation in pickletools.genops(stream)]
    names = set()
    for operation, argument, _ in operations:
        if operation.name == 'GLOBAL':
            module, name = argument.split(' ')
            names.add('.'.join(NAME_MAPPING.get((module, name), (IMPORT_MAPPING.get(module, module), name))))
    return names


def read(path: Path) -> Any:
    """The content of a checkpoint, on CPU, objects that aren't data replaced by stand-ins.

    Raises:
        pickle.UnpicklingError: the file asks for a class or function that mmengine's checkpoints don't need.
    """
    known = [(item, name) for name in globals_in(path) if (item := stand_in(name))]
    with torch.serialization.safe_globals(known):
        return torch.load(path, map_location='cpu', weights_only=True)


def convert(source: Path, target: Path) -> list[str]:
    """Writes the plain data of `source` to the new file `target`; returns the lines of a report."""
    if not hasattr(torch.serialization, 'safe_globals'):
        raise ValueError(f'torch {torch.__version__} is too old: weights-only loads are safe from 2.6 on (CVE-2025-32434)')
    content = read(source)
    if not isinstance(content, dict):
        raise ValueError(f'it holds a {type(content).__name__}, not a checkpoint')
    left_out: list[str] = []
    content = plain(content, left_out)
    write(content, target)
    kept = (
        [f'kept      {key}: {summary(value)}' for key, value in content.items()]
        if 'state_dict' in content
        else [f'kept      {summary(content)}']
    )
    return kept + [f'left out  {name}' for name in left_out]


def summary(value: Any) -> str:
    """One line on what a part of a checkpoint holds."""
    if not isinstance(value, dict):
        return f'{len(value)} entries' if isinstance(value, list) else type(value).__name__
    values = sum(item.numel() for item in value.values() if isinstance(item, torch.Tensor))
    return f'{len(value)} weights, {values:,} values' if values else ', '.join(map(str, value))


def main(arguments: list[str] | None = None) -> int:
    example = 'python tools/convert_checkpoint.py rtmdet-ins_tiny.pth rtmdet-ins_tiny_safe.pth'
    return run(command_line(__doc__, example, 'checkpoint to read', 'checkpoint to write'), convert, arguments)


if __name__ == '__main__':
    sys.exit(main())
