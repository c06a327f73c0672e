"""What OpenMMLab's `mim` looks for in an installed package: `.mim` with tools, configs and model-index.yml.

openmim isn't among our requirements; `mim train`, `test`, `run` and `search` were tried with 0.3.9 by hand (docs/get_started.md).
"""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import modelindex
import pytest
import yaml

import mmext_instseg

ROOT = Path(__file__).resolve().parents[1]
MIM = Path(mmext_instseg.__file__).parent / '.mim'
COMMANDS = ('train', 'test')


@pytest.fixture(scope='module')
def wheel(tmp_path_factory) -> Path:
    """A wheel of this checkout, unpacked."""
    folder = tmp_path_factory.mktemp('wheel')
    subprocess.run(['git', 'clone', '-q', str(ROOT), str(folder / 'copy')], check=True, timeout=120)
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '--no-index', '-w', str(folder), '.']
    subprocess.run(command, cwd=folder / 'copy', check=True, capture_output=True, timeout=300)
    with zipfile.ZipFile(next(folder.glob('*.whl'))) as archive:
        archive.extractall(folder / 'unpacked')
    return folder / 'unpacked' / 'mmext_instseg' / '.mim'


@pytest.mark.parametrize('command', COMMANDS)
def test_the_script_of_a_command(command):
    """`mim train` and `mim test` run .mim/tools/<command>.py CONFIG ... --launcher none."""
    script = MIM / 'tools' / f'{command}.py'
    done = subprocess.run([sys.executable, str(script), '--help'], cwd=MIM, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and '--launcher' in done.stdout, done.stderr


def test_a_config_is_found_by_its_name():
    """mim searches the package's folder, links followed, and refuses a name that stands there twice."""
    names = [path.name for path in (MIM / 'configs').rglob('*.py') if '_base_' not in path.parts]
    assert len(names) == len(set(names)) > 100


def test_the_model_index_can_be_searched():
    """`mim search` reads model-index.yml, and the metafiles that it names relative to itself."""
    index = modelindex.load(str((MIM / 'model-index.yml').resolve()))
    assert {collection.name for collection in index.collections} >= {'DCME', 'PE-centroid', 'Embedding U-Net', 'InstanceCLIPSeg'}


def test_a_wheel_holds_all_of_it(wheel):
    names = ['configs', 'tools', 'model-index.yml']
    tree = ['git', 'ls-tree', '-r', '--name-only', 'HEAD', *names]
    committed = subprocess.run(tree, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert len(committed) > 150 and not [name for name in committed if not (wheel / name).is_file()]
    assert all((wheel / name).is_file() for name in yaml.safe_load((wheel / 'model-index.yml').read_text())['Import'])


def test_an_older_setuptools_gets_every_file_by_name():
    """`**` in package_data means any depth from setuptools 62.3 on only."""
    found = re.search(r'package_data=(.*)', (ROOT / 'setup.py').read_text())
    assert found and '**' not in found[1]


def test_the_papers_figures_are_marked_as_theirs():
    """It stands with the collection; Results of a model are measured, and tests/test_project.py compares them with README."""
    index = modelindex.load(str((MIM / 'model-index.yml').resolve()))
    for collection in index.collections:
        marked = [key for key in collection.metadata.data if 'Not Reproduced' in key]
        assert bool(marked) == (collection.paper is not None), collection.name
