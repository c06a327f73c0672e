"""Each known fault is found in an environment that has it, with its command, and in no healthy one."""

import os
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import pytest

from mmext_instseg import check_env
from mmext_instseg.compat.faults import OFFICIAL, PIP, Environment, diagnose, release

ROOT = Path(__file__).parents[1]
HEALTHY = Environment(
    versions={
        **OFFICIAL,
        'mmcv-lite': '2.1.0',
        'mmext-instseg': '0.1.0',
        'torch': '2.11.0+cpu',
        'torchvision': '0.26.0',
        'numpy': '2.2.6',
        'opencv-python-headless': '4.12.0.88',
        'open-clip-torch': '3.3.0',
    },
    ops='fallback',
    panopticapi='fallback',
    hook=True,
    mim={'mmdet': True, 'mmext_instseg': True},
    requires=['numpy>=1.26', 'open_clip_torch>=3.0; extra == "clip"', 'pytest>=9; extra == "tests"'],
)
ONEDL = {
    **{name: version for name, version in HEALTHY.versions.items() if name not in OFFICIAL},
    'onedl-mmengine': '0.10.12',
    'onedl-mmdetection': '3.5.1',
    'onedl-mmsegmentation': '1.4.2',
    'onedl-mmpretrain': '1.3.6',
    'mmcv-lite': '2.2.0',
}


def changed(*remove, versions=None, **fields):
    kept = {name: version for name, version in HEALTHY.versions.items() if name not in remove}
    return replace(HEALTHY, versions={**kept, **(versions or {})}, **fields)


def missing(name):
    return ModuleNotFoundError(f'No module named {name!r}', name=name)


def test_a_healthy_environment_has_no_finding():
    assert diagnose(HEALTHY) == []


def test_the_onedl_stack_has_no_finding():
    assert diagnose(replace(HEALTHY, versions=ONEDL)) == []


FAULTS = {
    'setuptools': (
        changed(errors={'pkg_resources': missing('pkg_resources')}),
        'fatal',
        'setuptools dropped',
        f'{PIP} install "setuptools<82"',
    ),
    'mmcv 2.2': (changed(versions={'mmcv-lite': '2.2.0'}), 'fatal', 'refuse mmcv 2.2', 'mmcv-lite==2.1.0'),
    'compiled mmcv 2.2': (changed('mmcv-lite', versions={'mmcv': '2.2.0'}), 'fatal', 'refuse mmcv 2.2', 'uninstall -y mmcv mmcv-lite'),
    'two mmcv': (changed(versions={'mmcv': '2.1.0'}), 'fatal', 'mmcv and mmcv-lite write to the same folder', 'mmcv-lite==2.1.0'),
    'no mmcv': (changed('mmcv-lite'), 'fatal', 'mmcv is not installed', f'{PIP} install --no-deps mmcv-lite==2.1.0'),
    'onedl-mmcv 2.4': (
        replace(HEALTHY, versions={**{k: v for k, v in ONEDL.items() if k != 'mmcv-lite'}, 'onedl-mmcv': '2.4.0'}),
        'fatal',
        'onedl-mmpretrain refuses mmcv 2.4',
        'onedl-mmcv<2.4',
    ),
    'mixed stacks': (
        changed(versions={'onedl-mmdetection': '3.5.1'}),
        'fatal',
        'mmengine, mmdet, mmsegmentation, mmpretrain and onedl-mmdetection write to the same folders',
        'uninstall -y mmengine mmdet',
    ),
    'no mmdet': (
        changed('mmdet', errors={'mmdet.apis': missing('mmdet')}),
        'fatal',
        'mmdet is not installed',
        f'{PIP} install --no-deps mmdet==3.3.0',
    ),
    'nothing': (changed(*OFFICIAL), 'fatal', 'no part of OpenMMLab', 'setup_env.sh --current'),
    'torchvision': (
        changed(versions={'torchvision': '0.25.0'}),
        'fatal',
        'was not built for torch 2.11.0+cpu',
        'torch==2.11.0 torchvision==0.26.0',
    ),
    'no torchvision': (
        changed('torchvision', versions={'torch': '2.13.0'}),
        'fatal',
        'torchvision is not installed',
        'torchvision==0.26.0',
    ),
    'old torch': (changed(versions={'torch': '2.5.1', 'torchvision': '0.20.1'}), 'warning', 'CVE-2025-32434', 'torch==2.11.0'),
    'unsafe loads': (
        changed(variables={'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD': '1'}),
        'warning',
        'code out of checkpoints',
        'unset TORCH_FORCE',
    ),
    'two OpenCVs': (
        changed(versions={'opencv-python': '4.12.0.88'}),
        'warning',
        'opencv-python and opencv-python-headless overwrite each other',
        'opencv-python-headless>=4.8,<5',
    ),
    'OpenCV 5': (changed(versions={'opencv-python-headless': '5.0.0.93'}), 'warning', 'OpenCV 5', 'opencv-python-headless>=4.8,<5'),
    'libGL': (
        changed('opencv-python-headless', versions={'opencv-python': '4.12.0.88'}, errors={'cv2': ImportError('libGL.so.1: cannot open')}),
        'fatal',
        'libGL.so.1',
        'uninstall -y opencv-python',
    ),
    'no ops': (
        changed(ops='none', errors={'mmcv.ops': missing('mmcv._ext')}),
        'fatal',
        'neither compiled ops nor our fallback',
        'startup.py --install',
    ),
    'no hook': (changed(hook=False), 'warning', 'start-up hook is missing', 'startup.py --install'),
    'mmdet without .mim': (changed(mim={'mmdet': False}), 'fatal', 'no .mim folder', 'install --no-deps --force-reinstall mmdet==3.3.0'),
    'ourselves without .mim': (
        changed(mim={'mmext_instseg': False}),
        'note',
        'no .mim folder',
        'install --no-deps --no-build-isolation -e',
    ),
    'not installed': (changed('mmext-instseg'), 'warning', 'mmext_instseg is not installed', 'install --no-deps --no-build-isolation -e'),
    'requirement': (changed(versions={'numpy': '1.24.4'}), 'fatal', 'numpy is 1.24.4, needed from 1.26 on', f'{PIP} install "numpy>=1.26"'),
    'extra': (changed('open-clip-torch'), 'note', 'text queries need it', f'{PIP} install "open_clip_torch>=3.0"'),
    'lvis': (changed(versions={'lvis': '0.5.3'}), 'note', 'np.float', 'mmext_instseg'),
    'transformers': (replace(HEALTHY, versions={**ONEDL, 'transformers': '5.23.0'}), 'warning', 'transformers before 5', 'transformers<5'),
    'albumentations': (
        replace(HEALTHY, versions={**ONEDL, 'albumentations': '2.0.8'}),
        'warning',
        'albumentations before 2',
        'albumentations<2',
    ),
    'dependency': (
        changed(errors={'mmengine': missing('yaml'), 'mmdet.apis': missing('yaml')}),
        'fatal',
        "No module named 'yaml'",
        f'{PIP} install PyYAML',
    ),
    'imgaug': (changed(errors={'mmdet.apis': missing('imgaug')}), 'fatal', "No module named 'imgaug'", 'install --no-deps imaug'),
    'broken library': (
        changed(errors={'torch': OSError('libcudart.so: not found')}),
        'fatal',
        'import torch: OSError: libcudart',
        'setup_env.sh',
    ),
}


@pytest.mark.parametrize(('env', 'level', 'fault', 'fix'), FAULTS.values(), ids=FAULTS.keys())
def test_each_fault_is_found_with_its_command(env, level, fault, fix):
    found = diagnose(env)
    assert len(found) == 1, found
    assert found[0].level == level
    assert fault in found[0].fault
    assert fix in found[0].fix


def test_the_worst_comes_first():
    env = changed('mmcv-lite', hook=False, versions={'lvis': '0.5.3'})
    assert [finding.level for finding in diagnose(env)] == ['fatal', 'warning', 'note']


def test_versions_named_in_commands_are_those_of_the_requirements():
    pinned = dict(
        line.split('==') for line in (ROOT / 'requirements' / 'openmmlab.txt').read_text().splitlines() if '==' in line and line[0] != '#'
    )
    assert OFFICIAL.items() <= pinned.items()
    assert pinned['mmcv-lite'] == '2.1.0'
    torch = (ROOT / 'requirements' / 'torch.txt').read_text()
    assert 'torch==2.11.0' in torch
    assert 'torchvision==0.26.0' in torch


@pytest.mark.parametrize(
    ('version', 'expected'), [('2.11.0+cu130', (2, 11, 0)), ('0.11.0rc0', (0, 11, 0)), ('4.12.0.88', (4, 12, 0, 88)), ('', ())]
)
def test_release(version, expected):
    assert release(version) == expected


def test_report_of_this_environment(capsys):
    assert check_env.main([]) == 0
    report = capsys.readouterr().out
    rows = dict(line.split(maxsplit=1) for line in report.splitlines() if line and not line.startswith(' '))
    import mmengine
    import torch

    assert rows.get('mmengine', rows.get('onedl-mmengine')) == mmengine.__version__
    assert rows['torch'] == torch.__version__.split('+')[0] or rows['torch'] == torch.__version__
    assert 'This environment is usable.' in report
    if Path(sys.modules['mmcv._ext'].__file__).suffix == '.py':
        assert 'fallback of mmext_instseg: modulated_deform_conv, ms_deform_attn, nms, roi_align, sigmoid_focal_loss' in report


def run(python, **environment):
    command = [str(python), '-m', 'mmext_instseg.check_env']
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, **environment})


def test_it_runs_where_nothing_is_installed(tmp_path):
    venv.create(tmp_path / 'bare')
    done = run(tmp_path / 'bare' / 'bin' / 'python')
    assert done.returncode == 1, done.stderr
    assert 'fatal: no part of OpenMMLab is installed' in done.stdout
    assert 'fatal: torch or torchvision is not installed' in done.stdout
    assert not done.stderr


def test_it_runs_where_a_library_is_broken(tmp_path):
    (tmp_path / 'mmdet').mkdir()
    (tmp_path / 'mmdet' / '__init__.py').write_text("raise AssertionError('MMCV==2.2.0 is used but incompatible')")
    done = run(sys.executable, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1, done.stderr
    assert 'fatal: import mmdet.apis: AssertionError: MMCV==2.2.0 is used but incompatible' in done.stdout
    other = subprocess.run(
        [sys.executable, '-c', 'import mmext_instseg'],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(tmp_path)},
    )
    assert 'MMCV==2.2.0' in other.stderr, 'everywhere else the error is raised'
