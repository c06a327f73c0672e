"""What the tools that write one file of weights from another share: their two arguments, writing, refusals."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from mmext_instseg.compat.checkpoints import refusal


def command_line(description: str | None, example: str, source: str, target: str) -> argparse.ArgumentParser:
    """A parser of SOURCE and TARGET, with what their help says of them before 'it is left as it is' and 'must not exist yet'."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, epilog=f'example: {example}'
    )
    parser.add_argument('source', type=Path, help=f'{source}; the file is left as it is')
    parser.add_argument('target', type=Path, help=f'{target}; must not exist yet')
    return parser


def run(parser: argparse.ArgumentParser, convert: Callable[..., list[str]], arguments: list[str] | None) -> int:
    """Prints the report of `convert(source, target, **other arguments)`, or why the source is refused; the exit status."""
    given = vars(parser.parse_args(arguments))
    source, target = given['source'], given['target']
    if not source.is_file():
        parser.error(f'{source} is not a file')
    if target.exists():
        parser.error(f'{target} exists; name a new file')
    try:
        report = convert(**given)
    except Exception as error:  # a malformed file can make the reader raise anything
        print(f'{source} is refused, nothing was written: {refusal(error)}', file=sys.stderr)
        return 1
    print('\n'.join([*report, f'written   {target}']))
    return 0


def write(content: Any, target: Path) -> None:
    """Writes `target` whole or not at all: safetensors where its name ends so, else what a weights-only load reads."""
    temporary = target.with_name(target.name + '.tmp')
    if target.suffix == '.safetensors':
        save_file(content, temporary)
    else:
        torch.save(content, temporary)
        torch.load(temporary, map_location='cpu', weights_only=True)  # what is promised is tried first
    os.replace(temporary, target)
