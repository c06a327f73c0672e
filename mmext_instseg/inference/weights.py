"""Opening a trained model: weights of another one are refused."""

import contextlib
import io
import re
from pathlib import Path

import torch
from mmdet.apis import init_detector
from mmdet.models.detectors import BaseDetector
from mmengine.config import Config
from mmengine.logging import MMLogger
from torch import nn

from ..models.layers.frozen_weights import FrozenWeights

_OTHER_SHAPE = re.compile(r'size mismatch for (\S+): .*?torch\.Size\(\[(.*?)\]\) from checkpoint.*?torch\.Size\(\[(.*?)\]\)')


def open_detector(cfg: Config, checkpoint: str | Path, device: str) -> BaseDetector:
    """mmdet's `init_detector`, which only warns of weights that don't fit and goes on with random ones; this one refuses them.

    Args:
        cfg: of the model and its test data; changed as `init_detector` does.
        checkpoint: file of its weights.

    Raises:
        ValueError: the checkpoint isn't a file; or as `check_weights`.
    """
    if not Path(checkpoint).is_file():
        raise ValueError(f'{checkpoint} is not a file; give the weights that a training left, such as iter_2000.pth or epoch_3.pth')
    MMLogger.get_current_instance()  # made now: it would keep writing to what stands in for the standard output
    with contextlib.redirect_stdout(io.StringIO()) as said:  # of weights that don't fit, every key
        model = init_detector(cfg, str(checkpoint), device=device)
        check_weights(model, checkpoint, cfg.filename)
    print(said.getvalue(), end='')
    return model


def check_weights(model: nn.Module, checkpoint: str | Path, config: str | None = None) -> None:
    """Loads a checkpoint and refuses one that lacks parameters of the model, or has tensors of other shapes.

    What a `FrozenWeights` has from its own file isn't missed, nor are buffers that aren't in the checkpoint. What else is in the checkpoint
    doesn't matter.

    Args:
        config: its name, for the error.

    Raises:
        ValueError: as above; names the file, how many parameters are there and the first that aren't.
    """
    content = torch.load(checkpoint, map_location='cpu', weights_only=True)
    state = {key.removeprefix('module.'): value for key, value in content.get('state_dict', content).items()}
    problems = _problems(model, state, str(checkpoint))
    if not problems:
        return
    parameters = [key for key, _ in model.named_parameters()]
    fit = sum(key not in problems for key in parameters)
    first = ', '.join(f'{key} {problem}' for key, problem in list(problems.items())[:3])
    more = f', and {len(problems) - 3} more' if len(problems) > 3 else ''
    raise ValueError(
        f"{checkpoint} doesn't fit the {type(model).__name__} of {config or 'the config'}: {fit} of its {len(parameters)} parameters "
        f'match. {first}{more}. Give the config that this checkpoint was trained with (a training leaves it beside its checkpoints) and '
        'the same --cfg-options, or a checkpoint of this config'
    )


def _problems(model: nn.Module, state: dict, checkpoint: str) -> dict[str, str]:
    """Key -> what is wrong with it, in the model's order.

    torch loads, so that a module may rename or resize what it reads; its hooks know what is missing before it raises for other shapes.
    """
    missing: list[str] = []
    watch = model.register_load_state_dict_post_hook(lambda _, keys: missing.extend(keys.missing_keys))
    found: dict[str, str] = {}
    try:
        model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        found = {key: f'is ({here}) here and ({there}) in the file' for key, there, here in _OTHER_SHAPE.findall(str(error))}
        if not found:
            raise ValueError(f'{checkpoint}: {error}') from error
    finally:
        watch.remove()
    frozen = {name: module for name, module in model.named_modules() if isinstance(module, FrozenWeights) and module.from_file}
    restored = {f'{name}.{key}'.lstrip('.') for name, module in frozen.items() for key, _ in module.named_parameters()}
    own = [key for key, _ in model.named_parameters()]
    found |= dict.fromkeys({*missing} & {*own} - restored, 'is not in the file')
    rank = {key: number for number, key in enumerate(own)}
    return dict(sorted(found.items(), key=lambda one: rank.get(one[0], len(own))))
