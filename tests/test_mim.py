"""OpenMMLab's `mim` on our package: its commands, and what it looks for in `.mim`: tools, configs and model-index.yml."""

import importlib.util
import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import modelindex
import pytest
import torch
import yaml
from mmengine.config import Config

import mmext_instseg
from mmext_instseg.registry import MODELS

ROOT = Path(__file__).resolve().parents[1]
MIM = Path(mmext_instseg.__file__).parent / '.mim'
CONFIG = 'dcme_tiny_shapes.py'
ANN_FILE = 'data/shapes/v1_standard_128x128_seed1_n2/instances.json'
STAGES = ('train', 'val', 'test')
LOADER = ('batch_size=2', 'num_workers=0', 'persistent_workers=False', 'dataset.num_images=2')
TOY = [
    *(f'{stage}_dataloader.{setting}' for stage in STAGES for setting in LOADER),
    *(f'{stage}_evaluator.{number}.ann_file={ANN_FILE}' for stage in STAGES[1:] for number in (0, 1)),
    *('train_cfg.max_iters=1', 'default_hooks.checkpoint.interval=1', 'default_hooks.logger.interval=1'),
]


@pytest.fixture(scope='module')
def checkout(tmp_path_factory) -> Path:
    """A fresh clone."""
    folder = tmp_path_factory.mktemp('clone') / 'copy'
    subprocess.run(['git', 'clone', '-q', str(ROOT), str(folder)], check=True, timeout=120)
    return folder


@pytest.fixture(scope='module')
def wheel(checkout, tmp_path_factory) -> Path:
    """A wheel of it, unpacked."""
    folder = tmp_path_factory.mktemp('wheel')
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '--no-index', '-w', str(folder), '.']
    subprocess.run(command, cwd=checkout, check=True, capture_output=True, timeout=300)
    with zipfile.ZipFile(next(folder.glob('*.whl'))) as archive:
        archive.extractall(folder / 'unpacked')
    return folder / 'unpacked' / 'mmext_instseg' / '.mim'


def mim(*words, folder: Path, path: str) -> str:
    """Runs `mim` in a folder, with a first place to look for packages; without openmim it skips, in CI it fails."""
    if importlib.util.find_spec('mim') is None:
        message = "openmim isn't installed: pip install --no-deps -r requirements/mim.txt"
        pytest.fail(message) if os.environ.get('CI') else pytest.skip(message)
    environment = {**os.environ, 'PYTHONPATH': path, 'HOME': str(folder), 'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'}
    command = [sys.executable, '-m', 'mim', *map(str, words)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> Callable[..., str]:
    """Runs a command of `mim` on the wheel, in a folder of its own, which it has as `folder`."""
    folder = tmp_path_factory.mktemp('mim')

    def run(command: str, *words) -> str:
        return mim(command, 'mmext_instseg', *words, folder=folder, path=str(wheel.parents[1]))

    run.folder = folder
    return run


def test_train_then_test(installed, wheel):
    """A config's name is enough; what mim doesn't know goes to the script."""
    said = installed('train', CONFIG, '--gpus', 0, '--work-dir', 'work', '--cfg-options', *TOY)
    assert f'will use {(wheel / "configs" / "dcme" / CONFIG).resolve()}' in said and 'Training finished successfully' in said
    assert re.search(r'Iter\(train\) \[1/1\].* loss: \d', said)
    checkpoint = torch.load(installed.folder / 'work' / 'iter_1.pth', weights_only=True)
    assert checkpoint['meta']['iter'] == 1 and checkpoint['meta']['dataset_meta']['classes'][0] == 'circle'
    said = installed('test', CONFIG, '--checkpoint', 'work/iter_1.pth', '--gpus', 0, '--work-dir', 'tested', '--cfg-options', *TOY)
    assert re.search(r'Iter\(test\) \[1/1\] .*coco/segm_mAP: \d', said) and 'Testing finished successfully' in said
    assert list((installed.folder / 'tested').glob('*/*.json'))


def test_run_a_script(installed, wheel):
    config = wheel / 'configs' / 'dcme' / CONFIG
    said = installed('run', 'model_table', config)
    millions = sum(parameter.numel() for parameter in MODELS.build(Config.fromfile(config).model).parameters()) / 1e6
    assert re.search(rf'│ dcme_tiny_shapes +│ +{millions:.2f} │', said) and 'The script finished successfully' in said


def found(said: str) -> dict[str, str]:
    """Config of each model that `mim search --field config` prints."""
    return dict(re.findall(r'^config id: (\S+)\s+config +(\S+)', said, re.MULTILINE))


def test_search(installed):
    models = yaml.safe_load((ROOT / 'configs' / 'dcme' / 'metafile.yml').read_text())['Models']
    expected = {model['Name'].lower(): model['Config'].lower() for model in models}
    assert found(installed('search', '--model', 'dcme', '--field', 'config')) == expected


def test_in_a_checkout(checkout, wheel):
    """Where an editable install leaves nothing in site-packages that openmim would find; setup_env.sh writes the egg-info."""
    subprocess.run([sys.executable, 'setup.py', '-q', 'egg_info'], cwd=checkout, check=True, capture_output=True, timeout=60)
    assert CONFIG.removesuffix('.py') in found(mim('search', 'mmext_instseg', '--field', 'config', folder=checkout, path='.'))


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
