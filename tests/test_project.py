"""The project's promises about itself: its commands, its documents, its package."""

import os
import re
import runpy
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import modelindex
import pytest
from mmengine.config import Config

import mmext_instseg

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [*ROOT.glob('*.md'), *(ROOT / 'docs').rglob('*.md')]
SCRIPTS = sorted(path for folder in ('tools', 'examples/onnx_numpy') for path in (ROOT / folder).glob('[!_]*.py'))
MODULES = ['mmext_instseg.check_env', 'mmext_instseg.datasets.shapes']


@pytest.fixture
def help_of(monkeypatch, capsys):
    """What a program prints with --help, run in this process: importing mmdet takes ten seconds."""

    def run(program: Callable, target: str) -> str:
        monkeypatch.setattr(sys, 'argv', [target, '--help'])
        with pytest.raises(SystemExit) as end:
            program(target, run_name='__main__')
        assert not end.value.code
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize('script', SCRIPTS, ids=[path.name for path in SCRIPTS])
def test_every_script_has_help_with_an_example(script, help_of, monkeypatch):
    monkeypatch.syspath_prepend(script.parent)
    assert re.search(r'^\s*examples?:', help_of(runpy.run_path, str(script)), re.MULTILINE)


@pytest.mark.parametrize('module', MODULES)
def test_every_module_that_runs_has_help_with_an_example(module, help_of):
    assert re.search(r'^\s*examples?:', help_of(runpy.run_module, module), re.MULTILINE)


@pytest.mark.parametrize('script', ['quickstart.sh', 'run_tests.sh'])
def test_the_two_commands_explain_themselves_and_stand_in_the_readme(script):
    done = subprocess.run(['bash', f'tools/{script}', '--help'], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and f'bash tools/{script}' in done.stdout
    assert f'bash tools/{script}' in (ROOT / 'README.md').read_text()


def test_ci_runs_the_readmes_test_command():
    assert '\nbash tools/run_tests.sh\n' in (ROOT / '.ci' / 'run').read_text()


@pytest.mark.parametrize('document', DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_links_and_named_files_exist(document):
    text = document.read_text()
    for target in re.findall(r'\]\((?!https?:|#)([^)#]+)', text):
        assert (document.parent / target).exists(), f'{document.name} links to {target}'
    for name in re.findall(r'(?:configs|examples|tools)/[\w/]+\.(?:py|sh)', text):
        assert (ROOT / name).exists() or 'my_' in name, f'{document.name} names {name}'


def test_the_tutorials_config_loads(tmp_path):
    (text,) = re.findall(r'```python\n(_base_.*?)```', (ROOT / 'docs' / 'tutorial.md').read_text(), re.DOTALL)
    path = tmp_path / 'my_fruits.py'
    path.write_text(text.replace('./dcme', f'{ROOT}/configs/dcme/dcme'))
    config = Config.fromfile(path)
    assert config.train_dataloader.dataset.metainfo.classes == ('apple', 'pear')
    assert config.train_dataloader.dataset.pipeline and config.train_dataloader.batch_size == 2
    assert config.model.heads.semantic.num_things_classes == 2


def test_the_changelog_names_the_version():
    assert f'## [{mmext_instseg.__version__}]' in (ROOT / 'CHANGELOG.md').read_text()


def test_the_model_index_lists_every_config_and_the_readmes_numbers():
    index = modelindex.load(str(ROOT / 'model-index.yml'))
    assert not index.check_errors
    leaves = {str(path.relative_to(ROOT)) for path in (ROOT / 'configs').rglob('*.py') if '_base_' not in path.parts}
    assert {model.config for model in index.models} == leaves
    assert all((ROOT / collection.readme).is_file() for collection in index.collections)
    text = (ROOT / 'README.md').read_text()
    measured = {name: row for row, name in re.findall(r'^(\| \[([\w-]+)\]\(configs/.*)$', text, re.MULTILINE)}
    assert {model.name for model in index.models if model.results} == set(measured)
    for model in index.models:
        for result in model.results or ():
            assert all(f' {value / 100:.3f} |' in measured[model.name] for value in result.metrics.values()), model.name
        config = Config.fromfile(ROOT / model.config)
        metadata = model.metadata.data
        length = {'Iterations': config.train_cfg.get('max_iters'), 'Epochs': config.train_cfg.get('max_epochs')}
        assert {key: metadata.get(key) for key in length} == length, model.name
        assert metadata['Batch Size'] == config.auto_scale_lr.base_batch_size


@pytest.mark.parametrize('iterations', ['0', '19', '-5', 'many'])
def test_the_quickstart_refuses_a_training_of_no_length(iterations):
    environment = {**os.environ, 'MMEXT_ITERATIONS': iterations}
    done = subprocess.run(['bash', 'tools/quickstart.sh'], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert f'MMEXT_ITERATIONS={iterations} must be' in done.stderr and not done.stdout


def test_an_editable_install_links_what_openmmlabs_tools_read():
    for name in ('configs', 'tools'):
        assert (ROOT / 'mmext_instseg' / '.mim' / name).resolve() == ROOT / name


def test_a_wheel_holds_the_configs_and_tools(tmp_path):
    command = [sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation', '--no-index', '-w', str(tmp_path), '.']
    copy = tmp_path / 'copy'
    subprocess.run(['git', 'clone', '-q', str(ROOT), str(copy)], check=True, timeout=120)
    subprocess.run(command, cwd=copy, check=True, capture_output=True, timeout=300)
    names = set(zipfile.ZipFile(next(tmp_path.glob('*.whl'))).namelist())
    assert {
        'mmext_instseg/.mim/configs/dcme/dcme_tiny_shapes.py',
        'mmext_instseg/.mim/tools/train.py',
        'mmext_instseg/.mim/model-index.yml',
    } <= names
    assert {'mmext_instseg/py.typed', 'mmext_instseg/compat/mmcv_ext/nms.py', 'mmext_instseg/compat/panopticapi/utils.py'} <= names
    assert not [name for name in names if name.startswith('tests/')]
