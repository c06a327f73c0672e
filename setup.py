"""Packaging of mmext_instseg: metadata, extras, and the `.mim` folder that OpenMMLab's tools read."""

import os
import shutil
import sys
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).resolve().parent
PACKAGE = ROOT / 'mmext_instseg'
MIM_CONTENT = ('tools', 'configs', 'model-index.yml')


def version() -> str:
    for line in (PACKAGE / 'version.py').read_text().splitlines():
        if line.startswith('__version__'):
            return line.split("'")[1]
    raise RuntimeError('mmext_instseg/version.py has no __version__')


def requirements(*names: str) -> list[str]:
    """Requirement lines of requirements/<name>.txt with `==` loosened to `~=`: exact pins belong to our scripts."""
    lines = [line.split('#')[0].strip() for name in names for line in (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()]
    return [line.replace('==', '~=') for line in lines if line]


def add_mim_content() -> None:
    """Fills mmext_instseg/.mim: links for an editable install, copies for a wheel or sdist.

    OpenMMLab's usual recipe looks for the word `develop` on the command line; pip since 25.3 builds an
    `editable_wheel` instead, so here everything that isn't a wheel or an sdist gets links.
    """
    copying = any(word in ('bdist_wheel', 'sdist', 'bdist') for word in sys.argv[1:])
    mim = PACKAGE / '.mim'
    mim.mkdir(exist_ok=True)
    for name in MIM_CONTENT:
        source, target = ROOT / name, mim / name
        if target.is_symlink() or target.is_file():
            target.unlink()
        elif target.is_dir():
            shutil.rmtree(target)
        if not source.exists():
            continue
        if not copying:
            target.symlink_to(os.path.relpath(source, mim), target_is_directory=source.is_dir())
        elif source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns('__pycache__'))
        else:
            shutil.copy(source, target)


def mim_files() -> list[str]:
    """Files below `.mim`, one by one: setuptools before 62.3 doesn't read `**` as any depth and leaves the configs out."""
    return [str(path.relative_to(PACKAGE)) for path in (PACKAGE / '.mim').rglob('*') if path.is_file()]


if __name__ == '__main__':
    add_mim_content()
    setup(
        name='mmext_instseg',
        version=version(),
        description='Five published instance and panoptic segmentation methods for MMDetection and MMSegmentation',
        long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
        long_description_content_type='text/markdown',
        license='Apache-2.0',
        keywords='computer vision, instance segmentation, panoptic segmentation, OpenMMLab',
        packages=find_packages(include=['mmext_instseg', 'mmext_instseg.*']),
        package_data={'mmext_instseg': [*mim_files(), 'py.typed']},
        include_package_data=True,
        python_requires='>=3.10',
        install_requires=[
            'numpy>=1.26',
            'scipy>=1.11',
            'scikit-learn>=1.3',
            'pycocotools>=2.0.7',
            'shapely>=2.0',
            'matplotlib>=3.8',
            'rich>=13',
            'timm>=1.0.20',
        ],
        extras_require={
            # Either stack works; they share import names, so an environment holds one of them.
            'openmmlab': requirements('openmmlab', 'metrics') + ['setuptools<82'],
            'onedl': requirements('onedl', 'metrics'),
            'clip': ['open_clip_torch>=3.0'],
            'opencv': ['opencv-python-headless>=4.8,<5'],
            'export': requirements('export'),
            'tests': requirements('tests', 'export'),
            'dev': requirements('dev'),
        },
        zip_safe=False,
    )
