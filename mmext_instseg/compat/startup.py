"""A lazy import finder for two modules the OpenMMLab libraries need and the package index doesn't offer.

`mmcv._ext` holds mmcv's compiled ops: `mmcv-lite` comes without it, and mmdet imports `mmcv.ops` before it reads any
config. `panopticapi` isn't on the index at all, and mmdet's panoptic metrics refuse to work without it. Both must
therefore be importable as soon as Python starts, so this file copies itself into site-packages, beside a `.pth` line
that calls `install()` at every start:

    python mmext_instseg/compat/startup.py --install
    python mmext_instseg/compat/startup.py --uninstall

`mmseg::` in a config makes mmengine look for what is installed as `mmsegmentation`, and onedl-mmsegmentation isn't; mmengine then asks
for a module of that name, so the finder shows it where mmseg lies. Upstream: `MODULE2PACKAGE` of onedl-mmengine 0.10.12.

The finder stands last in `sys.meta_path`: a compiled mmcv or a real panopticapi is found first and wins. Nothing but
the standard library is imported here, and our package only on demand, by path.
"""

import sys
from importlib.machinery import ModuleSpec

PACKAGE = 'mmext_instseg'
HOOK = f'_{PACKAGE}_startup'
FALLBACKS = {'mmcv._ext': 'mmcv_ext', 'panopticapi': 'panopticapi'}
ALIASES = {'mmsegmentation': 'mmseg'}


class FallbackFinder:
    """Finds the modules of `FALLBACKS` in the folder `compat/` of our package, wherever that is installed now.

    Those of `ALIASES` it finds where the package of the other name is; they can be found, not imported.
    """

    owner = PACKAGE

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Spec of the fallback for `name`, or None if `name` isn't ours or our package is gone."""
        if name not in FALLBACKS and name not in ALIASES:
            return None
        import importlib.util
        import os.path

        try:
            package = importlib.util.find_spec(ALIASES.get(name, PACKAGE))
        except (ImportError, ValueError):
            return None
        if name in ALIASES:
            return package and ModuleSpec(name, None, origin=package.origin)
        for location in (package and package.submodule_search_locations) or ():
            folder = os.path.join(location, 'compat', FALLBACKS[name])
            init = os.path.join(folder, '__init__.py')
            if os.path.isfile(init):
                return importlib.util.spec_from_file_location(name, init, submodule_search_locations=[folder])
        return None


def install() -> None:
    """Puts one finder at the end of `sys.meta_path`, in place of any that an earlier call left there."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if getattr(finder, 'owner', None) != PACKAGE]
    sys.meta_path.append(FallbackFinder())


def write_hook(folder: str) -> list[str]:
    """Writes the copy of this file, then the `.pth` line that calls it, into `folder`; returns both paths."""
    import os
    import shutil

    module, pth = (os.path.join(folder, HOOK + suffix) for suffix in ('.py', '.pth'))
    shutil.copyfile(os.path.abspath(__file__), module)
    with open(pth, 'w', encoding='utf-8') as file:
        file.write(f'import {HOOK}; {HOOK}.install()\n')
    return [module, pth]


def remove_hook(folder: str) -> list[str]:
    """Removes what `write_hook` wrote, the `.pth` line first; returns the paths that were there."""
    import os

    removed = [path for path in (os.path.join(folder, HOOK + suffix) for suffix in ('.pth', '.py')) if os.path.exists(path)]
    for path in removed:
        os.remove(path)
    return removed


def main(arguments: list[str] | None = None) -> int:
    import argparse
    import sysconfig

    parser = argparse.ArgumentParser(
        description=f"Installs or removes {PACKAGE}'s start-up hook: fallbacks for mmcv._ext and panopticapi, "
        'used only where the real ones are missing.',
        epilog='example: .venv/bin/python mmext_instseg/compat/startup.py --install',
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument('--install', action='store_true', help='write the hook into the site-packages of the Python that runs this')
    action.add_argument('--uninstall', action='store_true', help='remove the hook from there')
    options = parser.parse_args(arguments)
    folder = sysconfig.get_path('purelib')
    try:
        paths = write_hook(folder) if options.install else remove_hook(folder)
    except OSError as error:
        print(
            f'startup: cannot change {folder}: {error}. Use a Python whose site-packages you may write, such as a virtual environment.',
            file=sys.stderr,
        )
        return 1
    for path in paths:
        print('wrote' if options.install else 'removed', path)
    if not paths:
        print(f'nothing to remove in {folder}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
