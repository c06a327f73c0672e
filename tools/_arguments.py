"""Kinds of command-line arguments."""

import argparse
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
