"""Runs a script of the installed mmdet under our own name, once our package (and with it every registered part) is imported."""

import importlib.util
import runpy
import sys
from pathlib import Path

import mmext_instseg  # noqa: F401


def run(script: str, example: str) -> None:
    """Runs mmdet's `tools/<script>` as the main program with the arguments of this one; `--help` begins with `example`."""
    spec = importlib.util.find_spec('mmdet')
    if spec is None or spec.origin is None:
        sys.exit('mmdet is not installed: run `bash tools/setup_env.sh`, or `pip install --no-deps mmdet==3.3.0`')
    path = Path(spec.origin).parent / '.mim' / 'tools' / script
    if not path.is_file():
        sys.exit(
            f'{path} is missing: an editable install of mmdet leaves it out. Run `pip install --no-deps --force-reinstall mmdet==3.3.0`'
        )
    if {'-h', '--help'} & set(sys.argv[1:]):
        print(f'example: {example}\n')
    runpy.run_path(str(path), run_name='__main__')
