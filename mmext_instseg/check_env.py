"""What this environment holds, and the exact command against each known fault in it.

    python -m mmext_instseg.check_env

It runs however broken the environment is: everything but the standard library is imported on trial.
"""

import argparse
import contextlib
import importlib.metadata
import importlib.util
import io
import os
import platform
import re
import sys
import warnings
from pathlib import Path

from .compat.faults import MMCV, OFFICIAL, ONEDL, OPENCV, PACKAGE, TRIED, Environment, diagnose, normalised

SHOWN = ('torch', 'torchvision', 'numpy', *OFFICIAL, *ONEDL, *MMCV, *OPENCV, 'pycocotools', 'lvis', 'timm', 'open-clip-torch', 'setuptools')


def collect() -> Environment:
    """Tries the imports in this process, quietly."""
    env = Environment(
        versions={normalised(dist.name): dist.version for dist in importlib.metadata.distributions() if dist.name},
        hook=importlib.util.find_spec('_mmext_instseg_startup') is not None,
        variables=dict(os.environ),
    )
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter('ignore')
        for name in ('pkg_resources', 'panopticapi', *TRIED):
            try:
                importlib.import_module(name)
                # Our own __init__ keeps what went wrong when it's imported for this check.
                failure = getattr(sys.modules[name], 'import_error', None)
            except Exception as error:  # a broken library can raise anything
                failure = error
            if failure is not None:
                env.errors[name] = failure
    extension = sys.modules.get('mmcv._ext')
    if extension is not None:
        env.ops = 'compiled' if str(extension.__file__).endswith(('.so', '.pyd')) else 'fallback'
        names = [name for name in getattr(extension, '__all__', ()) if not name.startswith('get_')]
        env.op_names = list(dict.fromkeys(re.sub('_(forward|backward)$', '', name) for name in names))
    if 'panopticapi' in sys.modules:
        env.panopticapi = 'fallback' if PACKAGE in Path(str(sys.modules['panopticapi'].__file__)).parents else 'real'
    for name in ('mmdet', 'mmext_instseg'):
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.origin:
            env.mim[name] = (Path(spec.origin).parent / '.mim' / 'tools').exists()
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        env.requires = importlib.metadata.requires('mmext_instseg') or []
    return env


def cuda() -> str:
    torch = sys.modules.get('torch')
    if torch is None or not hasattr(torch, 'cuda'):
        return 'unknown, torch is missing'
    if not torch.cuda.is_available():
        return f'no GPU in reach (torch is built for CUDA {torch.version.cuda})' if torch.version.cuda else 'torch is built without CUDA'
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f'{torch.version.cuda}: {", ".join(names)}'


def describe(env: Environment) -> list[tuple[str, str]]:
    """Rows of the report: what, and its version or state."""
    onedl = any(name in env.versions for name in ONEDL)
    official = any(name in env.versions for name in OFFICIAL)
    ops = {
        'compiled': 'compiled',
        'fallback': f'fallback of mmext_instseg: {", ".join(env.op_names)}; any other raises an error that says how to get it',
        'none': 'none',
    }
    panoptic = {'real': 'panopticapi', 'fallback': 'fallback of mmext_instseg', 'none': 'none'}
    return [
        ('stack', ' and '.join(['official OpenMMLab'] * official + ['onedl'] * onedl) or 'none'),
        ('python', f'{platform.python_version()}  {sys.executable}'),
        *((name, env.versions[name]) for name in SHOWN if name in env.versions),
        ('CUDA', cuda()),
        ('mmcv ops', ops[env.ops]),
        ('panopticapi', panoptic[env.panopticapi]),
        ('start-up hook', 'installed' if env.hook else 'not installed'),
    ]


def main(arguments: list[str] | None = None) -> int:
    """Prints the report; returns 1 if a fault is fatal, else 0."""
    parser = argparse.ArgumentParser(
        prog='python -m mmext_instseg.check_env',
        description='Prints what this environment holds, and the command against each known fault found in it. Exit code 1: not usable.',
        epilog='example: python -m mmext_instseg.check_env',
    )
    parser.parse_args(arguments)
    env = collect()
    for name, value in describe(env):
        print(f'{name:<24}{value}')
    findings = diagnose(env)
    for finding in findings:
        print(f'\n{finding.level}: {finding.fault}\n  fix: {finding.fix}')
    usable = not any(finding.level == 'fatal' for finding in findings)
    print('\nThis environment is usable.' if usable else '\nThis environment is not usable yet.')
    return 0 if usable else 1


if __name__ == '__main__':
    sys.exit(main())
