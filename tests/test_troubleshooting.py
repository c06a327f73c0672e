"""docs/troubleshooting.md has an entry for every fault that check_env knows, with its fix."""

import ast
import sys
from pathlib import Path

import pytest

from mmext_instseg.compat import faults

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / 'docs' / 'troubleshooting.md').read_text()


def words(node: ast.expr) -> str:
    """A string of the source as it will read: constants of the module filled in, `...` for what depends on the environment."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return ''.join(words(part.value if isinstance(part, ast.FormattedValue) else part) for part in node.values)
    if isinstance(node, ast.Name) and isinstance(getattr(faults, node.id, None), str):
        return getattr(faults, node.id).replace(sys.executable, 'python').replace(f'{ROOT}/', '').replace(str(ROOT), '.')
    if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and isinstance(node.slice, ast.Constant):
        return str(getattr(faults, node.value.id, {}).get(node.slice.value, '...')) if hasattr(faults, node.value.id) else '...'
    return '...'


def rows() -> list[str]:
    """A line of the table for each `Finding` in the source of `compat/faults.py`, in its order."""
    found = []
    for function in ast.parse(Path(faults.__file__).read_text()).body:
        if not (isinstance(function, ast.FunctionDef) and function.name.startswith('check_')):
            continue
        assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)]
        local = {node.targets[0].id: node.value for node in assigned}
        for node in ast.walk(function):
            if isinstance(node, ast.Call) and getattr(node.func, 'id', '') == 'Finding':
                level, fault, fix = (words(local.get(getattr(part, 'id', None), part)) for part in node.args)
                command = f'`{fix}`' if fix.startswith(('python', 'unset', 'MMEXT')) else fix
                found.append(f'| {level} | {fault} | {command} |')
    return found


def test_the_source_is_read_whole():
    text = Path(faults.__file__).read_text()
    assert len(rows()) == text.count('Finding(') - text.count('class Finding(') and len(rows()) > 25


@pytest.mark.parametrize('row', rows())
def test_every_known_fault_has_its_row(row):
    assert row in PAGE, f'docs/troubleshooting.md lacks this line:\n{row}'


def test_no_row_is_of_a_fault_that_is_gone():
    table = PAGE.split('## What check_env finds')[1].split('\n## ')[0]
    shown = [line for line in table.splitlines() if line.startswith('| ') and not line.startswith('| level')]
    assert sorted(shown) == sorted(rows())
