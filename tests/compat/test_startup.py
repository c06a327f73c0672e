"""The start-up hook, as a fresh Python meets it."""

import os
import subprocess
import sys
from pathlib import Path

import mmdet

from mmext_instseg.compat import startup

STARTUP = Path(startup.__file__)
MMDET_TOOLS = Path(mmdet.__file__).parent / '.mim' / 'tools'


def python(code: str, *flags: str, folder: Path, **environment: str) -> str:
    """What a fresh interpreter prints, in a folder from which our checkout can't be imported by accident."""
    command = [sys.executable, *flags, '-c', code]
    done = subprocess.run(command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def with_hook(code: str) -> str:
    """The code, after what the .pth line does."""
    load = f'import sys, runpy; startup = runpy.run_path({str(STARTUP)!r}, run_name="hook"); startup["install"]()'
    return f'{load}\n{code}'


def test_mmcv_and_mmdet_import_without_our_package(tmp_path):
    code = with_hook('import mmdet.apis, mmcv.ops, panopticapi.evaluation; print("mmext_instseg" in sys.modules)')
    assert python(code, folder=tmp_path) == 'False'


def test_start_up_imports_nothing_heavy(tmp_path):
    code = with_hook('print([name for name in ("torch", "numpy", "mmcv", "mmext_instseg", "argparse") if name in sys.modules])')
    assert python(code, '-S', folder=tmp_path) == '[]'


def test_mmengine_finds_the_fallback(tmp_path):
    code = with_hook('import pkgutil, mmcv._ext as e; print(e.__spec__.name, pkgutil.find_loader("mmcv._ext") is not None)')
    assert python(code, '-W', 'ignore', folder=tmp_path) == 'mmcv._ext True'


def test_a_compiled_module_wins(tmp_path):
    """A stand-in for a compiled mmcv: a package of that name, with an _ext of its own."""
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('')
    (tmp_path / 'mmcv' / '_ext.py').write_text('compiled = True')
    (tmp_path / 'panopticapi.py').write_text('real = True')
    code = with_hook('import mmcv._ext, panopticapi; print(mmcv._ext.compiled, panopticapi.real)')
    assert python(code, folder=tmp_path, PYTHONPATH=str(tmp_path)) == 'True True'


def test_without_our_package_python_still_starts(tmp_path):
    code = with_hook(
        'import importlib.util as u; find = u.find_spec\n'
        'u.find_spec = lambda name, *a: None if name == "mmext_instseg" else find(name, *a)\n'
        'print(u.find_spec("panopticapi"))'
    )
    assert python(code, folder=tmp_path) == 'None'


def test_install_and_remove(tmp_path):
    written = startup.write_hook(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ['_mmext_instseg_startup.pth', '_mmext_instseg_startup.py']
    code = f'import site; site.addsitedir({str(tmp_path)!r}); import sys; print(type(sys.meta_path[-1]).__name__)'
    assert python(code, folder=tmp_path) == 'FallbackFinder'
    assert sorted(startup.remove_hook(str(tmp_path))) == sorted(written)
    assert not list(tmp_path.glob('*.pth')) and startup.remove_hook(str(tmp_path)) == []


def test_installing_twice_leaves_one_finder():
    startup.install()
    startup.install()
    assert sum(getattr(finder, 'owner', None) == startup.PACKAGE for finder in sys.meta_path) == 1


def test_help_has_an_example():
    done = subprocess.run([sys.executable, str(STARTUP), '--help'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and 'example:' in done.stdout


def test_mmdets_own_train_script_starts(tmp_path):
    """Unmodified, and with the hook that the environment has."""
    done = subprocess.run(
        [sys.executable, str(MMDET_TOOLS / 'train.py'), '--help'], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and 'Train a detector' in done.stdout
