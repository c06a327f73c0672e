"""Kinds of command-line arguments."""

import argparse
import re
from collections.abc import Callable


def positive(kind: type[int] | type[float]) -> Callable[[str], int | float]:
    """A finite number above 0."""

    def parse(text: str):
        value = kind(text)
        if not 0 < value < float('inf'):
            raise argparse.ArgumentTypeError(f'{text} is not above 0')
        return value

    parse.__name__ = f'positive {kind.__name__}'
    return parse


def image_size(text: str) -> tuple[int, int]:
    """Height x width in pixels."""
    found = re.fullmatch(r'([1-9]\d*)x([1-9]\d*)', text)
    if found is None:
        raise argparse.ArgumentTypeError(f'{text} is not a size such as 512x1024 (height x width)')
    return int(found[1]), int(found[2])
