"""The start-up hook: a light finder that comes last, survives a broken package, and serves mmdet unmodified."""

import importlib.machinery
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from mmext_instseg.compat import startup

ROOT = Path(startup.__file__).parents[2]
SITE = sysconfig.get_path('purelib')


@pytest.fixture
def hook(tmp_path):
    """A folder that holds the hook and nothing else."""
    folder = tmp_path / 'site'
    folder.mkdir()
    startup.write_hook(str(folder))
    return folder


@pytest.fixture
def meta_path(monkeypatch):
    monkeypatch.setattr(sys, 'meta_path', list(sys.meta_path))
    return sys.meta_path


def python(code, hook, *paths, environment=None):
    """Runs `code` in a Python without site-packages (-S) that has read the `.pth` files of `hook`."""
    prologue = f'import site, sys; site.addsitedir({str(hook)!r})\n'
    return subprocess.run(
        [sys.executable, '-S', '-c', prologue + code],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, paths)), 'OMP_NUM_THREADS': '1', **(environment or {})},
        cwd=hook,
        capture_output=True,
        text=True,
        timeout=500,
    )


def fake_package(folder, name, text='', **modules):
    package = folder / name
    package.mkdir(parents=True)
    (package / '__init__.py').write_text(text)
    for module, content in modules.items():
        (package / f'{module}.py').write_text(content)
    return folder


def test_install_leaves_one_finder_at_the_end(meta_path):
    startup.install()
    meta_path.append(importlib.machinery.PathFinder)
    startup.install()
    assert [type(finder).__name__ for finder in meta_path].count('FallbackFinder') == 1
    assert isinstance(meta_path[-1], startup.FallbackFinder)


def test_finds_its_two_modules_only():
    finder = startup.FallbackFinder()
    assert [finder.find_spec(name) for name in ('mmcv', 'mmcv.ops', 'panopticapi.utils', 'torch')] == [None] * 4
    spec = finder.find_spec('mmcv._ext')
    assert spec.origin == str(ROOT / 'mmext_instseg/compat/mmcv_ext/__init__.py')
    assert spec.submodule_search_locations == [os.path.dirname(spec.origin)]


def test_start_is_light(hook):
    code = 'print(type(sys.meta_path[-1]).__name__, *sorted({"torch", "numpy", "mmcv", "mmext_instseg", "argparse"} & set(sys.modules)))'
    done = python(code, hook, ROOT, SITE)
    assert (done.stdout.split(), done.stderr) == (['FallbackFinder'], '')


def test_mmdet_imports_without_our_package(hook):
    code = (
        'import mmdet.apis, mmcv.ops, mmcv._ext\n'
        'from mmengine.utils.dl_utils.misc import mmcv_full_available\n'
        'print(mmcv_full_available(), mmcv._ext.__spec__.name, mmcv._ext.__file__, "mmext_instseg" in sys.modules)'
    )
    done = python(code, hook, ROOT, SITE)
    assert done.returncode == 0, done.stderr
    origin = ROOT / 'mmext_instseg/compat/mmcv_ext/__init__.py'
    assert done.stdout.splitlines()[-1].split() == ['True', 'mmcv._ext', str(origin), 'False']  # onedl-mmdetection prints a line first


@pytest.mark.parametrize('compiled', [True, False])
def test_compiled_mmcv_wins(hook, tmp_path, compiled):
    modules = {'_ext': 'ours = False'} if compiled else {}
    mmcv = fake_package(tmp_path / 'real', 'mmcv', **modules)
    done = python('import importlib.util; print(importlib.util.find_spec("mmcv._ext").origin)', hook, mmcv, ROOT)
    expected = mmcv / 'mmcv/_ext.py' if compiled else ROOT / 'mmext_instseg/compat/mmcv_ext/__init__.py'
    assert done.stdout.strip() == str(expected), done.stderr


def test_real_panopticapi_wins(hook, tmp_path):
    real = fake_package(tmp_path / 'real', 'panopticapi', utils='origin = "real"')
    done = python('from panopticapi.utils import origin; print(origin)', hook, real, ROOT)
    assert done.stdout.strip() == 'real', done.stderr


def test_package_gone_means_an_ordinary_import_error(hook, tmp_path):
    mmcv = fake_package(tmp_path / 'real', 'mmcv')
    code = 'for name in ("mmcv._ext", "panopticapi"):\n    try: __import__(name)\n    except ModuleNotFoundError as error: print(error)'
    done = python(code, hook, mmcv)
    assert done.stdout.splitlines() == ["No module named 'mmcv._ext'", "No module named 'panopticapi'"]
    assert done.stderr == ''


@pytest.mark.parametrize('there', [True, False])
def test_mmseg_is_found_as_mmsegmentation(hook, tmp_path, there):
    """mmengine looks so for `mmseg::`, in onedl-mmengine where no distribution has that name."""
    folder = fake_package(tmp_path / 'other', 'mmseg' if there else 'mmother')
    code = 'import importlib.util; spec = importlib.util.find_spec("mmsegmentation"); print(spec and spec.origin)\nimport mmsegmentation'
    done = python(code, hook, folder)
    assert done.stdout.strip() == (str(folder / 'mmseg/__init__.py') if there else 'None')
    assert 'ImportError' in done.stderr or 'ModuleNotFoundError' in done.stderr


def test_broken_package_is_not_even_imported(hook, tmp_path):
    broken = fake_package(tmp_path / 'broken', 'mmext_instseg', 'this is no Python')
    fallback = fake_package(broken / 'mmext_instseg/compat', 'panopticapi', 'origin = "fallback"')
    done = python('import panopticapi; print(panopticapi.origin)', hook, broken, fallback.parent)
    assert (done.stdout.strip(), done.stderr) == ('fallback', '')


def test_half_imported_package_is_no_obstacle(hook, tmp_path):
    mmcv = fake_package(tmp_path / 'real', 'mmcv')
    code = (
        'import types, importlib.util; sys.modules["mmext_instseg"] = types.ModuleType("mmext_instseg")\n'
        'print(importlib.util.find_spec("mmcv._ext"))'
    )
    done = python(code, hook, mmcv, ROOT)
    assert (done.stdout.strip(), done.stderr) == ('None', '')


def test_pth_without_its_module_does_not_stop_python(hook):
    (hook / f'{startup.HOOK}.py').unlink()
    done = python('print("up")', hook, ROOT)
    assert (done.returncode, done.stdout.strip()) == (0, 'up')


def test_install_and_uninstall_say_what_they_did(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: {'purelib': str(tmp_path)}[name])
    paths = [str(tmp_path / f'{startup.HOOK}{suffix}') for suffix in ('.py', '.pth')]
    assert startup.main(['--install']) == 0
    assert capsys.readouterr().out.splitlines() == [f'wrote {path}' for path in paths]
    assert Path(paths[0]).read_text() == Path(startup.__file__).read_text()
    assert Path(paths[1]).read_text() == f'import {startup.HOOK}; {startup.HOOK}.install()\n'
    assert startup.main(['--uninstall']) == 0
    assert capsys.readouterr().out.splitlines() == [f'removed {path}' for path in reversed(paths)]
    assert list(tmp_path.iterdir()) == []
    assert startup.main(['--uninstall']) == 0
    assert capsys.readouterr().out.strip() == f'nothing to remove in {tmp_path}'


def test_folder_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sysconfig, 'get_path', lambda name: str(tmp_path / 'absent'))
    assert startup.main(['--install']) == 1
    message = capsys.readouterr().err
    assert str(tmp_path / 'absent') in message
    assert 'virtual environment' in message


def test_help_has_an_example():
    done = subprocess.run([sys.executable, startup.__file__, '--help'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0
    assert 'example:' in done.stdout
    assert '--uninstall' in done.stdout
