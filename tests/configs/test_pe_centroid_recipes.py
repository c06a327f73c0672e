"""Every PE-centroid config as its user runs it, from files to scores: its data, sampler, optimiser, schedule, hooks and evaluators.

Only sizes, numbers and widths are changed. Stages start from the weights of the stage before.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from recipe_data import NUM_IMAGES, write_coco_and_nyu
from test_configs import CONFIGS, shrink_data
from toy_models import as_toy

FOLDER = CONFIGS / 'pe_centroid'
NAMES = sorted(path.stem for path in FOLDER.glob('*.py'))
ITERATIONS = 4
# What the truth scores at least, in the place of the predicted maps
FIGURES = dict(
    CocoPanopticMetric=('coco_panoptic/PQ', 70),
    CocoMetric=('coco/segm_mAP', 0.5),
    ClassAgnosticCocoMetric=('agnostic/segm_mAP', 0.5),
    ClasswiseCityScapesMetric=('cityscapes/mAP', 0.4),
    IoUByArea=('iou_by_area/all', 0.6),
    DepthMapMetric=('depth/rmse', 0),
)


@pytest.fixture(scope='module')
def place(tmp_path_factory, cityscapes_folder) -> Iterator[Path]:
    """The working folder, with data/coco, data/coco_few, data/nyu and data/cityscapes; the runner's slow notes of itself are left out."""
    folder = tmp_path_factory.mktemp('user')
    write_coco_and_nyu(folder / 'data')
    (folder / 'data' / 'coco_few').symlink_to(folder / 'data' / 'coco')
    (folder / 'data' / 'cityscapes').symlink_to(cityscapes_folder / 'data' / 'cityscapes')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv('MMEXT_COCO_FEW', raising=False)
        for module in ('mmengine.config.config', 'yapf.yapflib.yapf_api'):  # onedl-mmengine imports it where it is called
            patch.setattr(f'{module}.FormatCode', lambda text, **_: (text, True), raising=False)
        patch.setattr('mmengine.runner.runner.collect_env', dict)
        yield folder


def small(name: str) -> Config:
    """Four iterations of four small images, two of them a step, of a narrow network, on the CPU."""
    config = Config.fromfile(FOLDER / f'{name}.py')
    config.work_dir = f'work_dirs/{name}'
    config.model = as_toy(config.model)
    shrink_data(config, scale=(252, 126) if 'cityscapes' in name else (140, 140), batch_size=4)
    if 'shapes' in name:
        config.train_dataloader.dataset.num_images = NUM_IMAGES['train']
        for loader, metrics in ((config.val_dataloader, config.val_evaluator), (config.test_dataloader, config.test_evaluator)):
            loader.dataset.num_images = NUM_IMAGES['val']
            for metric in metrics:
                paths = {key: metric[key] for key in ('ann_file', 'seg_prefix') if key in metric}
                metric.update({key: path.replace('_n100/', f'_n{NUM_IMAGES["val"]}/') for key, path in paths.items()})
    if config.optim_wrapper.type == 'AmpOptimWrapper':  # starts on a GPU only
        config.optim_wrapper.update(type='OptimWrapper')
        config.optim_wrapper.pop('dtype')
    config.optim_wrapper.accumulative_counts = 2
    config.train_cfg.update(max_iters=ITERATIONS, val_interval=ITERATIONS)
    warm_up, cosine = config.param_scheduler
    warm_up.end = 2
    cosine.update(T_max=ITERATIONS, end=ITERATIONS)
    config.default_hooks.checkpoint.interval = ITERATIONS
    return config


@pytest.fixture(scope='module')
def train(place) -> Callable[[str], Runner]:
    """Trains a config once, after the one whose weights it starts from."""
    trained: dict[str, Runner] = {}

    def run(name: str) -> Runner:
        if name in trained:
            return trained[name]
        config = small(name)
        earlier = config.get('load_from')
        if earlier:
            before, last = re.fullmatch(r'work_dirs/(.*)/iter_(\d+)\.pth', earlier).groups()
            assert int(last) == Config.fromfile(FOLDER / f'{before}.py').train_cfg.max_iters
            run(before)
            config.load_from = earlier.replace(last, str(ITERATIONS))
        runner = Runner.from_cfg(config)
        if earlier:
            check_loaded(runner, config.load_from)
        runner.train()
        trained[name] = runner
        return runner

    return run


def check_loaded(runner: Runner, path: str) -> None:
    """The trunk and the code are those of the stage before; classes too where they are the same."""
    runner.load_or_resume()
    found, saved = runner.model.state_dict(), torch.load(path)['state_dict']
    same = {name for name in found.keys() & saved.keys() if found[name].shape == saved[name].shape}
    assert all(torch.equal(found[name], saved[name]) for name in same)
    assert {name for name in found if not name.startswith(('heads.semantic', 'heads.depth'))} <= same


@pytest.mark.parametrize('name', NAMES)
def test_from_files_to_scores(name, train):
    runner = train(name)
    heads = runner.model.heads
    scalars = {key: value.current() for key, value in runner.message_hub.log_scalars.items()}
    assert all(np.isfinite(value) for key, value in scalars.items() if key.startswith('train/'))
    for head, loss in dict(instance='code', semantic='semantic', depth='depth').items():
        assert (scalars.get(f'train/loss_{loss}', 0) > 0) == (head in heads)
    steps = [int(state['step']) for state in runner.optim_wrapper.optimizer.state.values()]
    assert steps == [ITERATIONS // 2] * sum(parameter.requires_grad for parameter in runner.model.parameters())

    evaluator = runner.cfg.test_evaluator
    metrics = {metric.type for metric in (evaluator if isinstance(evaluator, list) else [evaluator])}
    if metrics == {'DepthMapMetric'}:  # without instances there is no truth to put in; a sigmoid in metres isn't far off
        assert 0 < scalars['val/depth/rmse'] < 10 and 0 < scalars['val/depth/abs_rel'] < 5
        return
    runner.model.test_settings.true_maps = tuple(heads)
    found = runner.test()
    assert all(found[figure] >= least for figure, least in (FIGURES[metric] for metric in metrics))
    assert found.get('depth/rmse', 0) < 0.01
