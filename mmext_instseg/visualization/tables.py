"""Tables: a header, then rows of text, on the terminal, as Markdown and as CSV."""

import csv
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

Rows = Sequence[Sequence[str]]


def print_table(rows: Rows, title: str | None = None) -> None:
    """Prints to the terminal, the first column to the left; a header breaks at '/'. No figure is cut, however narrow the terminal."""
    table = Table(title=title, title_justify='left')
    for index, name in enumerate(rows[0]):
        table.add_column(name.replace('/', '\n'), justify='right' if index else 'left', no_wrap=True)
    for row in rows[1:]:
        table.add_row(*row)
    needed = Console(width=10_000).measure(table).maximum
    Console(width=max(Console().width, needed)).print(table)


def markdown_table(rows: Rows) -> str:
    """Markdown, the first column to the left."""
    lines = [rows[0], [':--'] + ['--:'] * (len(rows[0]) - 1), *rows[1:]]
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def write_csv(path: Path, rows: Sequence[Sequence[object]]) -> None:
    """Writes a CSV file."""
    with path.open('w', newline='') as stream:
        csv.writer(stream).writerows(rows)
