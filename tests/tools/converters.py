"""The tools that convert weights, as modules."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from unittest.mock import patch

TOOLS = Path(__file__).parents[2] / 'tools'


def load(name: str) -> ModuleType:
    """tools/<name>.py, which finds its neighbours as a script would."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    with patch.object(sys, 'path', [str(TOOLS), *sys.path]):
        spec.loader.exec_module(module)
    return module
