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


@pytest.mark.parametrize(
    ('training', 'requeued'),
    [
        pytest.param('exit 75', True, id='saved'),
        pytest.param('exit 1', False, id='failed'),
        pytest.param('exit 0', False, id='done'),
        pytest.param('trap "exit 143" USR1; kill -USR1 $PPID; sleep 9 & wait', True, id='signalled before it could save'),
    ],
)
def test_a_job_is_queued_again_if_it_was_told_to_end(tmp_path, training, requeued):
    for name, text in (('srun', training), ('scontrol', f'echo "$@" > {tmp_path}/asked')):
        (tmp_path / name).write_text(f'#!/bin/bash\n{text}\n')
        (tmp_path / name).chmod(0o755)
    job = dict(JOB_ID='7', NTASKS='2', NTASKS_PER_NODE='2', CPUS_PER_TASK='1', JOB_PARTITION='gpu', JOB_NAME='mine')
    environment = {**os.environ, 'PATH': f'{tmp_path}:{os.environ["PATH"]}', **{f'SLURM_{name}': value for name, value in job.items()}}
    subprocess.run(['bash', 'tools/slurm_job.sbatch', 'c.py', 'out'], cwd=ROOT, env=environment, timeout=30)
    assert (tmp_path / 'asked').exists() == requeued
    assert not requeued or (tmp_path / 'asked').read_text() == 'requeue 7\n'
