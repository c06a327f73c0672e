"""The known faults of an environment for OpenMMLab, each with the exact command against it.

Standard library only, since this must run where nothing else does; `check_env` fills an `Environment` and prints the findings.
"""

import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

PIP = f'{sys.executable} -m pip'
OFFICIAL = {'mmengine': '0.10.7', 'mmdet': '3.3.0', 'mmsegmentation': '1.2.2', 'mmpretrain': '1.2.0'}
MMCV = ('mmcv', 'mmcv-lite', 'onedl-mmcv')
ONEDL = ('onedl-mmengine', 'onedl-mmdetection', 'onedl-mmsegmentation', 'onedl-mmpretrain')
OPENCV = ('opencv-python', 'opencv-contrib-python', 'opencv-python-headless', 'opencv-contrib-python-headless')
TRIED = (
    'numpy',
    'cv2',
    'torch',
    'torchvision',
    'pycocotools.mask',
    'mmengine',
    'mmcv',
    'mmcv.ops',
    'mmdet.apis',
    'mmseg',
    'mmpretrain',
    'mmext_instseg',
)
FOUND_ABOVE = ('pkg_resources', 'cv2', 'torch', 'torchvision', 'mmengine', 'mmcv', 'mmdet', 'mmseg', 'mmpretrain')  # by other checks
DISTRIBUTION_OF = {
    'yaml': 'PyYAML',
    'sklearn': 'scikit-learn',
    'PIL': 'pillow',
    'open_clip': 'open_clip_torch',
    'imgaug': '--no-deps imaug scikit-image imageio lazy-loader tifffile',  # onedl-mmdetection's; with them comes a second OpenCV
}
REINSTALL_MMCV = f'{PIP} uninstall -y {" ".join(MMCV)} && {PIP} install --no-deps mmcv-lite==2.1.0'
REINSTALL_TORCH = f'{PIP} install torch==2.11.0 torchvision==0.26.0'
REINSTALL_OPENCV = f'{PIP} uninstall -y {" ".join(OPENCV)} && {PIP} install "opencv-python-headless>=4.8,<5"'
PACKAGE = Path(__file__).resolve().parents[1]
INSTALL_HOOK = f'{sys.executable} {PACKAGE / "compat" / "startup.py"} --install'
INSTALL_OURSELVES = f'{PIP} install --no-deps --no-build-isolation -e {PACKAGE.parent}'
SET_UP = f'MMEXT_PYTHON={sys.executable} bash {PACKAGE.parent / "tools" / "setup_env.sh"} --current'


@dataclass
class Environment:
    """What the checks look at.

    versions: installed distributions by normalised name; errors: module -> why its import failed; ops: 'compiled', 'fallback' or
    'none', with the names that a fallback offers; mim: package -> whether its `.mim` folder is complete.
    """

    versions: dict[str, str] = field(default_factory=dict)
    errors: dict[str, BaseException] = field(default_factory=dict)
    ops: str = 'none'
    op_names: list[str] = field(default_factory=list)
    panopticapi: str = 'none'
    hook: bool = False
    mim: dict[str, bool] = field(default_factory=dict)
    requires: list[str] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def release(self, name: str) -> tuple[int, ...]:
        """Leading numbers of a version: (2, 11, 0); () if not installed."""
        return release(self.versions.get(name, ''))


@dataclass(frozen=True)
class Finding:
    """A fault, the command against it, and whether nothing works before that ('fatal'), something fails, or it's only good to know."""

    level: str  # 'fatal', 'warning' or 'note'
    fault: str
    fix: str


def normalised(name: str) -> str:
    """The name of a distribution as PyPI compares it."""
    return re.sub(r'[-_.]+', '-', name).lower()


def release(version: str) -> tuple[int, ...]:
    found = re.match(r'\d+(\.\d+)*', version)
    return tuple(map(int, found[0].split('.'))) if found else ()


# Checks: each yields what it finds


def check_stack(env: Environment) -> Iterator[Finding]:
    official = [name for name in OFFICIAL if name in env.versions]
    onedl = [name for name in ONEDL if name in env.versions]
    if onedl and official:
        fault = f'{", ".join(official)} and {", ".join(onedl)} write to the same folders'
        yield Finding('fatal', fault, f'{PIP} uninstall -y {" ".join(official + onedl)} && {PIP} install --no-deps {" ".join(onedl)}')
        return
    if not onedl and not official:
        yield Finding('fatal', 'no part of OpenMMLab is installed', SET_UP)
        return
    for name in ONEDL if onedl else OFFICIAL:
        if name not in env.versions:
            version = '' if onedl else f'=={OFFICIAL[name]}'
            yield Finding('fatal', f'{name} is not installed', f'{PIP} install --no-deps {name}{version}')


def check_mmcv(env: Environment) -> Iterator[Finding]:
    found = [name for name in MMCV if name in env.versions]
    if not found:
        yield Finding('fatal', 'mmcv is not installed', f'{PIP} install --no-deps mmcv-lite==2.1.0')
    elif len(found) > 1:
        yield Finding('fatal', f'{" and ".join(found)} write to the same folder', REINSTALL_MMCV)
    elif env.release(found[0]) >= (2, 2) and (env.release('mmdet') == (3, 3, 0) or env.release('mmsegmentation') == (1, 2, 2)):
        yield Finding('fatal', 'mmdet 3.3.0 and mmsegmentation 1.2.2 refuse mmcv 2.2 (open-mmlab/mmdetection#12312)', REINSTALL_MMCV)
    elif env.release(found[0]) >= (2, 4) and 'onedl-mmpretrain' in env.versions:
        yield Finding('fatal', 'onedl-mmpretrain refuses mmcv 2.4 and later', f'{PIP} install "{found[0]}<2.4"')


def check_torch(env: Environment) -> Iterator[Finding]:
    torch, torchvision = env.release('torch'), env.release('torchvision')
    if not torch or not torchvision:
        yield Finding('fatal', 'torch or torchvision is not installed', REINSTALL_TORCH)
    elif torch[0] == 2 and torchvision[:2] != (0, torch[1] + 15):
        yield Finding(
            'fatal', f'torchvision {env.versions["torchvision"]} was not built for torch {env.versions["torch"]}', REINSTALL_TORCH
        )
    elif torch < (2, 6):
        yield Finding(
            'warning',
            f'torch {env.versions["torch"]}: a checkpoint can run code in spite of weights-only loading (CVE-2025-32434)',
            REINSTALL_TORCH,
        )
    if env.variables.get('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD'):
        yield Finding(
            'warning',
            'TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD lets other programs run code out of checkpoints; ours need no such thing',
            'unset TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD',
        )


def check_setuptools(env: Environment) -> Iterator[Finding]:
    if env.release('mmengine') < (0, 11) and 'mmengine' in env.versions and 'pkg_resources' in env.errors:
        yield Finding(
            'fatal', 'mmengine 0.10 imports pkg_resources, which setuptools dropped in version 82', f'{PIP} install "setuptools<82"'
        )


def check_opencv(env: Environment) -> Iterator[Finding]:
    found = [name for name in OPENCV if name in env.versions]
    if not found:
        yield Finding('fatal', 'OpenCV is not installed', f'{PIP} install "opencv-python-headless>=4.8,<5"')
    elif len(found) > 1:
        yield Finding('warning', f'{" and ".join(found)} overwrite each other', REINSTALL_OPENCV)
    elif env.release(found[0]) >= (5,):
        yield Finding(
            'warning',
            f'{found[0]} {env.versions[found[0]]}: OpenCV 5 reads images with other defaults (opencv/opencv#29121)',
            REINSTALL_OPENCV,
        )
    if found and 'cv2' in env.errors and 'numpy' not in env.errors:
        yield Finding('fatal', f'import cv2: {env.errors["cv2"]}', REINSTALL_OPENCV)


def check_ops(env: Environment) -> Iterator[Finding]:
    if env.ops == 'none' and not {'mmcv', 'torch'} & env.errors.keys():
        yield Finding(
            'fatal',
            f'mmcv has neither compiled ops nor our fallback: {env.errors.get("mmcv.ops", "")}',
            f'{REINSTALL_MMCV} && {INSTALL_HOOK}',
        )
    elif not env.hook and (env.ops != 'compiled' or env.panopticapi != 'real'):
        fault = "the start-up hook is missing: programs that import mmdet before mmext_instseg fail, mmdet's test.py among them"
        yield Finding('warning', fault, INSTALL_HOOK)


def check_mim(env: Environment) -> Iterator[Finding]:
    if env.mim.get('mmdet') is False:
        fault = 'mmdet has no .mim folder with its configs and scripts: pip 25.3 and later leave it out of editable installs'
        yield Finding('fatal', fault, f'{PIP} install --no-deps --force-reinstall mmdet=={OFFICIAL["mmdet"]}')
    if env.mim.get('mmext_instseg') is False:
        yield Finding('note', "mmext_instseg has no .mim folder, so `mim` doesn't find its configs", INSTALL_OURSELVES)


def check_requirements(env: Environment) -> Iterator[Finding]:
    if 'mmext-instseg' not in env.versions:
        yield Finding('warning', 'mmext_instseg is not installed, only found from this folder', INSTALL_OURSELVES)
    for line in env.requires:
        name, floor, extra = re.findall(r'^([\w.-]+)[^\d;]*([\d.]*)(?:.*extra == ["\'](\w+))?', line)[0]
        version = env.versions.get(normalised(name))
        if extra == 'clip' and not version:
            yield Finding('note', f'{name} is not installed: text queries need it', f'{PIP} install "{name}>={floor}"')
        elif not extra and (not version or release(version) < release(floor)):
            yield Finding('fatal', f'{name} is {version or "not installed"}, needed from {floor} on', f'{PIP} install "{name}>={floor}"')


def check_known_conflicts(env: Environment) -> Iterator[Finding]:
    if env.versions.get('lvis') == '0.5.3' and env.release('numpy') >= (1, 24):
        fault = 'lvis 0.5.3 calls np.float, which NumPy 1.24 dropped'
        yield Finding('note', fault, 'none needed where mmext_instseg is imported: it cures this')
    if 'onedl-mmpretrain' in env.versions and env.release('transformers') >= (5,):
        yield Finding('warning', 'onedl-mmpretrain needs transformers before 5', f'{PIP} install "transformers<5"')
    if 'onedl-mmdetection' in env.versions and env.release('albumentations') >= (2,):
        yield Finding('warning', 'onedl-mmdetection needs albumentations before 2', f'{PIP} install "albumentations<2"')


def check_imports(env: Environment) -> Iterator[Finding]:
    """The first import that fails, from the ground up: later ones mostly follow from it."""
    for module in TRIED:
        error = env.errors.get(module)
        missing = error.name if isinstance(error, ModuleNotFoundError) and error.name and '.' not in error.name else ''
        if error is not None and module not in ('cv2', 'mmcv.ops') and missing not in FOUND_ABOVE:
            command = f'{PIP} install {DISTRIBUTION_OF.get(missing, missing)}' if missing else SET_UP
            yield Finding('fatal', f'import {module}: {type(error).__name__}: {error}', command)
            return


CHECKS: tuple[Callable[[Environment], Iterator[Finding]], ...] = (
    check_stack,
    check_mmcv,
    check_torch,
    check_setuptools,
    check_opencv,
    check_ops,
    check_mim,
    check_requirements,
    check_known_conflicts,
    check_imports,
)


def diagnose(env: Environment) -> list[Finding]:
    """All findings, the worst first."""
    found = [finding for check in CHECKS for finding in check(env)]
    return sorted(found, key=lambda finding: ('fatal', 'warning', 'note').index(finding.level))
