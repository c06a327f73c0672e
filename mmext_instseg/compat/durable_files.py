"""Files that a kill can't spoil: written whole or not at all, checked before a run is resumed from them.

mmengine writes checkpoints and its pointer to the newest, `last_checkpoint`, in place, and on `--resume` takes what the pointer names.
"""

import logging
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import torch
from mmengine.dist import all_gather_object, broadcast_object_list, is_main_process
from mmengine.logging import print_log
from mmengine.runner import checkpoint as upstream


def _sync(path: str) -> None:
    """Waits until a file's content, or a folder's names, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put_in_place(temporary: str, filename: str) -> None:
    """Gives a complete file its name, which at any time, even after a power cut, stands for the whole old file or the whole new one."""
    _sync(temporary)
    os.replace(temporary, filename)
    _sync(os.path.dirname(filename) or '.')


@contextmanager
def whole(filename: str, mode: str = 'w') -> Iterator[IO]:
    """`open` for writing a file that appears whole or not at all."""
    with open(f'{filename}.tmp', mode) as file:
        yield file
    put_in_place(f'{filename}.tmp', filename)


def point_to(work_dir: str, checkpoint: str) -> None:
    """Makes `checkpoint` the one that `--resume` goes on from."""
    with whole(os.path.join(work_dir, 'last_checkpoint')) as file:
        file.write(checkpoint)


def damage(checkpoint: str) -> str | None:
    """What is wrong with a file that `torch.save` wrote, None if nothing. Reads it once, to compare the checksums that it holds."""
    if not os.path.isfile(checkpoint):
        return 'there is no such file'
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            broken = archive.testzip()
    except (OSError, zipfile.BadZipFile) as error:
        return f'it is not whole ({error})'
    return f'the checksum of {broken} in it is wrong' if broken else None


def _of_a_run(checkpoint: str) -> bool:
    """Whether a whole file holds the state of a run, not weights only."""
    try:
        content = torch.load(checkpoint, map_location='cpu', weights_only=True, mmap=True)
    except Exception:  # whatever it is, it isn't ours
        return False
    return isinstance(content, dict) and {'meta', 'message_hub', 'optimizer'} <= content.keys()


def _choose(path: str) -> str | None:
    named = upstream.find_latest_checkpoint(path)
    if named and '://' in named:
        return named
    fault = damage(named) if named else 'last_checkpoint is empty' if named == '' else None
    if named and fault is None:
        return named
    folders = {path, os.path.dirname(named or '') or path}
    files = [os.path.join(folder, name) for folder in folders if os.path.isdir(folder) for name in os.listdir(folder)]
    others = [file for file in files if file.endswith('.pth') and file != named]
    for file in sorted(others, key=os.path.getmtime, reverse=True):
        if damage(file) is None and _of_a_run(file):
            why = f'{named or path} cannot be resumed from: {fault}' if fault else f'{path} has no last_checkpoint'
            print_log(f'{why}. Resuming from {file}, the newest checkpoint that is whole.', 'current', logging.WARNING)
            return file
    if fault and named:
        raise RuntimeError(f'{named} cannot be resumed from: {fault}. Nor is there another one. Without --resume the run begins anew.')
    return None


def _checksums(checkpoint: str) -> list[int] | None:
    """Those that the file holds of its parts; None where it can't be read."""
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            return [part.CRC for part in archive.infolist()]
    except (OSError, zipfile.BadZipFile):
        return None


def find_latest_checkpoint(path: str) -> str | None:
    """What `last_checkpoint` in the work directory `path` names; if that can't be used, the newest checkpoint of the run that can.

    Rank 0 chooses for all ranks, which may see other files where they don't share a disk. None where there is no checkpoint, so that a run
    begins.

    Raises:
        RuntimeError: on all ranks: `last_checkpoint` names a file that can't be used, and there's no other; or a rank hasn't the file.
    """
    answer: list[Any] = [None, None]
    if is_main_process():
        try:
            answer[0] = _choose(path)
        except RuntimeError as error:
            answer[1] = str(error)
    broadcast_object_list(answer)
    chosen, refused = answer
    if refused:
        raise RuntimeError(refused)
    if chosen and '://' not in chosen:
        mine, *others = all_gather_object(_checksums(chosen))
        without = [str(rank) for rank, sums in enumerate(others, 1) if sums != mine]
        if without:
            raise RuntimeError(
                f'{chosen}, which rank 0 resumes from, is not on rank {", ".join(without)}: '
                'put the work directory on a disk that all machines share, or copy this file to the same place on each of them.'
            )
    return chosen
