"""Training under a real slurm: two tasks over gloo, and a job that is preempted twice."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SEARCHED = os.pathsep.join([os.environ['PATH'], '/usr/sbin', '/sbin'])
MISSING = [name for name in ('slurmctld', 'slurmd', 'munged', 'srun', 'sbatch') if shutil.which(name, path=SEARCHED) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f'no {", ".join(MISSING)}: on Debian `apt-get install slurm-wlm munge`'),
    pytest.mark.timeout(1200),
]
STEPS = 24
CONFIG = f"""
_base_ = '{ROOT}/configs/dcme/dcme_tiny_shapes.py'
custom_imports = dict(imports=['mmext_instseg', 'slow_hook'])
model = dict(
    backbone=dict(base_channels=4),
    heads=dict(instance=dict(in_channels=4, channels=8), semantic=dict(in_channels=4, channels=8)))
train_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(data_root='FOLDER', num_images=8))
test_dataloader = dict(batch_size=1, num_workers=0, persistent_workers=False, dataset=dict(data_root='FOLDER', num_images=2))
test_evaluator = dict(_delete_=True, type='CocoMetric', ann_file='FOLDER/v1_standard_128x128_seed1_n2/instances.json', metric='segm')
val_dataloader = val_cfg = val_evaluator = None
train_cfg = dict(_delete_=True, type='ResumableIterBasedTrainLoop', max_iters={STEPS})
custom_hooks = [dict(type='PreemptionHook'), dict(type='SlowHook')]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval={STEPS}))
"""


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
    """Environment of a cluster that runs, for two tasks; the partition is `tests`."""
    folder = tmp_path_factory.mktemp('slurm')
    script = ['bash', str(HERE / 'slurm.sh')]
    subprocess.run([*script, 'start', str(folder)], check=True, timeout=120)
    environment = os.environ | dict(SLURM_CONF=str(folder / 'slurm.conf'), PYTHON=sys.executable, PYTHONPATH=str(HERE), OMP_NUM_THREADS='1')
    yield environment | dict(GPUS='2', CPUS_PER_TASK='1')
    subprocess.run([*script, 'stop', str(folder)], check=True, timeout=120)


def run(cluster: dict, *words: object) -> str:
    done = subprocess.run(list(map(str, words)), cwd=ROOT, env=cluster, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def config(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('toy')
    path = folder / 'toy.py'
    path.write_text(CONFIG.replace('FOLDER', str(folder)))
    return path


@pytest.fixture(scope='module')
def whole(cluster, config) -> Path:
    """Work directory of a training without interruption."""
    log = run(
        cluster, 'bash', 'tools/slurm_train.sh', 'tests', 'whole', config, config.parent / 'whole', '--cfg-options', 'randomness.seed=3'
    )
    assert 'Distributed launcher: slurm' in log and 'GPU number: 2' in log
    return config.parent / 'whole'


def state_of(cluster: dict, job: str) -> str:
    return re.findall(r'JobState=(\w+)', run(cluster, 'scontrol', 'show', 'job', job))[0]


def step_of(work: Path) -> int:
    """The last step that any start of the job has logged."""
    text = ''.join(path.read_text() for path in work.glob('*/*.log'))
    return max(map(int, re.findall(rf'Iter\(train\) \[ *(\d+)/{STEPS}\]', text)), default=0)


def wait_for(condition, what: str) -> None:
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.1)
    pytest.fail(f'waited for 5 minutes in vain: {what}')


def test_a_checkpoint_is_evaluated(cluster, config, whole):
    log = run(cluster, 'bash', 'tools/slurm_test.sh', 'tests', 'test', config, whole / f'iter_{STEPS}.pth', '--work-dir', whole / 'test')
    assert 'Distributed launcher: slurm' in log and 'coco/segm_mAP:' in log


def test_a_job_preempted_twice_ends_with_the_weights_of_a_whole_one(cluster, config, whole):
    """First by SIGUSR1 to the batch script, as before the time limit; then by `scontrol requeue`, as when slurm preempts."""
    work, out = config.parent / 'preempted', config.parent / 'job.log'
    flags = ['--partition=tests', '--time=10', '--ntasks-per-node=2', '--gres=gpu:2', '--cpus-per-task=1', f'--output={out}']
    words = ['tools/slurm_job.sbatch', config, work, '--cfg-options', 'randomness.seed=3']
    job = run(cluster, 'sbatch', '--parsable', *flags, *words).strip()
    try:
        wait_for(lambda: step_of(work) >= 4, 'the fourth step')
        run(cluster, 'scancel', '--batch', '--signal=USR1', job)
        wait_for(lambda: 'resumed epoch' in out.read_text(), 'a resumed run')
        first = step_of(work)
        wait_for(lambda: step_of(work) >= first + 4, 'four more steps')
        run(cluster, 'scontrol', 'requeue', job)
        wait_for(lambda: state_of(cluster, job) in ('COMPLETED', 'FAILED', 'CANCELLED'), 'the end')
    finally:
        print(out.read_text()[-5000:])
    assert state_of(cluster, job) == 'COMPLETED'
    stops = re.findall(r'saving preempted\.pth at iteration (\d+)', out.read_text())
    resumed = re.findall(r'resumed epoch: \d+, iter: (\d+)', out.read_text())
    assert len(stops) == 2 and resumed == stops, 'each start went on where the one before had ended'
    assert 4 <= int(stops[0]) < int(stops[1]) < STEPS
    expected, weights = (torch.load(folder / f'iter_{STEPS}.pth', weights_only=True)['state_dict'] for folder in (whole, work))
    assert weights.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(weights[name], value), name
