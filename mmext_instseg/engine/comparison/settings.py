"""Gives each config of a comparison the same budget, and keeps results of different settings apart."""

import copy
import difflib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

# Arguments of parameter schedulers that count epochs or iterations.
_POSITIONS = ('begin', 'end', 'T_max', 'milestones', 'periods', 'step_size', 'total_steps')
_FOREVER = int(1e9)  # mmengine's default end


def with_budget(cfg: Config, iterations: int | None = None, seconds: float | None = None) -> Config:
    """A training config that makes `iterations` iterations within `seconds`; the given one stays as it is.

    One rule for all configs. T is a config's own length in iterations: `max_iters`, or `max_epochs` times the batches of an epoch (for
    which the training data set is built). Training becomes iteration-based, N = `iterations` or else T long, and each number of the
    schedule that counts epochs or iterations (where a scheduler begins and ends, T_max, milestones, step sizes, periods, the
    validation interval) is converted to iterations and multiplied by N / T. So each scheduler keeps its share of the training, the
    warm-up too, and the learning rate ends where it would have ended. Not scaled: hooks that count epochs or iterations on their own.

    Beside that: weights are kept at the end only, as `TimeBudgetHook` does; scalars are logged at least 50 times a run.

    Raises:
        ValueError: there is no training loop with a known length, or a scheduler has none.
    """
    cfg = copy.deepcopy(cfg)
    epoch = _set_loop(cfg, iterations)
    max_iters = cfg.train_cfg.max_iters
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(type='TimeBudgetHook', seconds=seconds)]
    hooks = copy.deepcopy(cfg.get('default_hooks') or ConfigDict())
    hooks.checkpoint = {'type': 'CheckpointHook', **(hooks.get('checkpoint') or {}), 'by_epoch': False, 'interval': -1, 'save_last': False}
    logger = hooks.get('logger') or {}
    interval = max(1, min(logger.get('interval', 10), max_iters // 50))
    hooks.logger = {'type': 'LoggerHook', **logger, 'interval': interval, 'log_metric_by_epoch': False}
    cfg.default_hooks = hooks
    visualizer = cfg.get('visualizer') or ConfigDict(type='Visualizer')
    backends = visualizer.get('vis_backends') or []
    if not any(one['type'] == 'LocalVisBackend' for one in backends):
        visualizer.vis_backends = [*backends, dict(type='LocalVisBackend')]
    cfg.visualizer = visualizer
    if epoch is not None:
        cfg.log_processor = {**(cfg.get('log_processor') or {}), 'by_epoch': False}
    imports = cfg.get('custom_imports') or {}
    cfg.custom_imports = {**imports, 'imports': [*_listed(imports.get('imports')), 'mmext_instseg.engine']}
    cfg.resume = False
    return cfg


def _set_loop(cfg: Config, iterations: int | None) -> int | None:
    """Makes the loop iteration-based and scales the schedule; returns the iterations of an epoch where epochs were counted."""
    loop = cfg.get('train_cfg') or {}
    kind = loop.get('type', 'IterBasedTrainLoop').removeprefix('Resumable')
    if kind not in ('IterBasedTrainLoop', 'EpochBasedTrainLoop') or not {'max_iters', 'max_epochs'} & set(loop):
        raise ValueError(f'{cfg.filename}: train_cfg must be an EpochBasedTrainLoop or an IterBasedTrainLoop, not {dict(loop)}')
    epoch = _iterations_per_epoch(cfg) if 'max_epochs' in loop else None
    length = loop['max_iters'] if epoch is None else loop['max_epochs'] * epoch
    max_iters = iterations or length
    factor = max_iters / length

    def scale(position: float, counts_epochs: bool) -> int:
        return max(round(position * ((epoch or 1) if counts_epochs else 1) * factor), min(position, 1))

    interval = scale(loop.get('val_interval', 1000 if epoch is None else 1), epoch is not None)
    begin = scale(loop.get('val_begin', 1), epoch is not None)
    cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=max_iters, val_begin=begin, val_interval=interval)
    sampler = cfg.train_dataloader.get('sampler') or {}
    if epoch is not None and sampler.get('type') == 'DefaultSampler':
        # mmengine's iteration-based loop pauses for two seconds wherever a sampler ends.
        cfg.train_dataloader.sampler = dict(type='InfiniteSampler', shuffle=sampler.get('shuffle', True))
    cfg.param_scheduler = _scaled(cfg.get('param_scheduler'), scale, length / max_iters, epoch)
    return epoch


def _iterations_per_epoch(cfg: Config) -> int:
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    return len(Runner.build_dataloader(copy.deepcopy(cfg.train_dataloader)))


def _scaled(schedulers: Any, scale: Callable[[float, bool], int], stretch: float, epoch: int | None) -> Any:
    """Schedulers (None, one, a list, or one of these by optimizer) in iterations of the new loop.

    Args:
        scale: (position, whether it counts epochs) -> iteration.
        stretch: old iterations for each new one.
        epoch: old iterations of an epoch, None for an iteration-based loop, which never steps a scheduler that counts epochs.
    """
    if not schedulers:
        return schedulers
    if isinstance(schedulers, list | tuple):
        return [_scaled(one, scale, stretch, epoch) for one in schedulers]
    if 'type' not in schedulers:
        return {name: _scaled(one, scale, stretch, epoch) for name, one in schedulers.items()}
    by_epoch = schedulers.get('by_epoch', True)
    if epoch is None and by_epoch:
        return schedulers
    kind = schedulers['type'].rpartition('.')[2]
    if kind.startswith('ReduceOnPlateau'):
        raise ValueError(f"{kind} follows the validation and can't be given a budget; use a scheduler of known length")
    made = {key: value for key, value in schedulers.items() if key != 'convert_to_iter_based'}
    made['by_epoch'] = False
    for key in _POSITIONS:
        value = made.get(key)
        if isinstance(value, list | tuple):
            made[key] = [scale(one, by_epoch) for one in value]
        elif value is not None and value < _FOREVER:
            made[key] = scale(value, by_epoch)
    if kind.startswith('Exponential'):
        made['gamma'] = made['gamma'] ** (stretch / ((epoch or 1) if by_epoch else 1))
    if made.get('end', _FOREVER) <= made.get('begin', 0):
        made['end'] = made['begin'] + 1
    return made


def _listed(names: str | Sequence[str] | None) -> list[str]:
    return [names] if isinstance(names, str) else list(names or [])


def claim_folder(out: Path, configs: dict[str, Config], shared: dict) -> None:
    """Writes the settings of a comparison into its folder, or finds them there.

    Args:
        out: the folder; made where absent. Holds settings.json, and <name>/config.py for each config.
        configs: name -> config as it will be trained, without the seed.
        shared: settings of all of them, as JSON has them.

    Raises:
        ValueError: the folder holds runs of other settings; says which setting. Nothing is written then.
    """
    cure = 'choose another folder with --out, or delete'
    texts = {name: cfg.pretty_text for name, cfg in configs.items()}
    settings = out / 'settings.json'
    known = json.loads(settings.read_text()) if settings.is_file() else shared
    for key, value in shared.items():
        if known.get(key) != value:
            raise ValueError(f'{out} holds runs with {key} = {known.get(key)}, not {value}; {cure} {out}')
    for name, text in texts.items():
        path = out / name / 'config.py'
        if path.is_file() and path.read_text() != text:
            changed = list(difflib.unified_diff(path.read_text().splitlines(), text.splitlines(), lineterm='', n=0))[2:12]
            raise ValueError(f'{path} differs from the config given now:\n' + '\n'.join(changed) + f'\n{cure} {path.parent}')
    for name, text in texts.items():
        path = out / name / 'config.py'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    settings.write_text(json.dumps(shared, indent=2))
