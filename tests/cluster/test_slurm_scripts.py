"""What the slurm scripts ask of srun, shown by a stand-in that prints its words."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SRUN = """#!/bin/bash
while [ "$1" != bash ]; do echo "$1"; shift; done
SLURM_JOB_ID=1234567 SLURM_STEP_ID=2 exec "$@"
"""
PYTHON = """#!/bin/bash
echo "port $MASTER_PORT"
for word in "$@"; do echo "$word"; done
"""


@pytest.fixture
def slurm(tmp_path):
    """Runs a script of tools/ with these variables; returns the words of srun, the port, and the words of Python."""
    for name, text in (('srun', SRUN), ('python', PYTHON)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)

    def run(name: str, *words: str, **variables: str) -> tuple[set[str], str, list[str]]:
        environment = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', **variables}
        out = subprocess.check_output(['bash', str(ROOT / 'tools' / name), *words], text=True, env=environment, cwd=tmp_path)
        asked, _, given = out.partition('port ')
        port, *given = given.splitlines()
        return set(asked.splitlines()), port, given

    return run


def test_training_asks_for_what_mmdets_script_does(slurm):
    asked, port, words = slurm('slurm_train.sh', 'gpu', 'mine', 'c.py', 'out', '--amp', '--cfg-options', 'a="x y"')
    assert asked == {
        '--partition=gpu',
        '--job-name=mine',
        '--gres=gpu:8',
        '--ntasks=8',
        '--ntasks-per-node=8',
        '--cpus-per-task=5',
        '--kill-on-bad-exit=1',
    }
    assert 10000 <= int(port) < 30000
    expected = ['-u', f'{ROOT}/tools/train.py', 'c.py', '--work-dir', 'out', '--amp', '--cfg-options', 'a="x y"', '--launcher', 'slurm']
    assert words == expected


def test_variables(slurm):
    variables = dict(GPUS='16', GPUS_PER_NODE='4', CPUS_PER_TASK='2', SRUN_ARGS='--quotatype=spot --gres=none', PY_ARGS='--out o.pkl')
    asked, port, words = slurm('slurm_test.sh', 'gpu', 'mine', 'c.py', 'w.pth', '--tta', MASTER_PORT='7', **variables)
    assert {'--ntasks=16', '--ntasks-per-node=4', '--gres=gpu:4', '--cpus-per-task=2', '--quotatype=spot', '--gres=none'} <= asked
    assert port == '7'
    assert words[1:] == [f'{ROOT}/tools/test.py', 'c.py', 'w.pth', '--tta', '--launcher', 'slurm', '--out', 'o.pkl']
    assert {'--ntasks=2', '--ntasks-per-node=2', '--gres=gpu:2'} <= slurm('slurm_test.sh', 'gpu', 'mine', 'c.py', 'w.pth', GPUS='2')[0]


@pytest.mark.parametrize('name', ['slurm_train.sh', 'slurm_test.sh'])
def test_help_has_an_example_and_missing_arguments_are_named(name):
    script = ['bash', str(ROOT / 'tools' / name)]
    text = subprocess.check_output([*script, '--help'], text=True)
    assert 'example: ' in text and f'bash tools/{name} gpu' in text and 'set -euo' not in text
    done = subprocess.run([*script, 'gpu', 'mine', 'c.py'], capture_output=True, text=True)
    assert done.returncode != 0 and f'usage: bash tools/{name} PARTITION JOB CONFIG' in done.stderr
