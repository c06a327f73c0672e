"""Weights of a network from a local file."""

from abc import abstractmethod
from pathlib import Path

from mmengine.logging import print_log
from mmengine.model import BaseModule, PretrainedInit, update_init_info
from mmengine.runner import CheckpointLoader
from torch import Tensor

from .torchscript import is_torchscript, read_torchscript


class LocalWeights(BaseModule):
    """A network whose `init_cfg=dict(type='Pretrained', checkpoint=PATH)` reads a local file and says what fitted; nothing is downloaded.

    Mixed in before the network's class, which says by `_own_keys`, `_in_trunk` and `_expected_file` what it takes.
    """

    init_cfg: dict | list[dict] | None
    depth: int
    norm_cfg: dict | None
    report_levels = 2  # of names in the report, of this network's own parts
    unused_levels = 2  # and of those in the file
    default_prefix = 'backbone.'

    def init_weights(self) -> None:
        """As mmengine's, but 'Pretrained' is `load_weights`."""
        files, others = split_init_cfg(self.init_cfg)
        if self.is_init or not files:
            super().init_weights()
            return
        whole, self.init_cfg = self.init_cfg, others
        super().init_weights()
        self.init_cfg = whole
        self.load_files()

    def load_files(self) -> None:
        """Reads what `init_cfg` names."""
        for config in split_init_cfg(self.init_cfg)[0]:
            self.load_weights(**{key: value for key, value in config.items() if key != 'type'})

    def load_weights(self, checkpoint: str, prefix: str | None = None, map_location: str = 'cpu') -> None:
        """Loads the trunk's weights, and whatever else of this network the file holds; logs what was loaded, what wasn't and what is left.

        Args:
            checkpoint: a local file: a state dict, bare or under `state_dict`, a `.safetensors` file or a TorchScript archive; in this
                network's own layout or another that its class names. It may hold more (a classifier, heads).
            prefix: what stands before these keys; by default `default_prefix` where the file has such keys.
            map_location: where tensors are read to.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it isn't this network: a key of the trunk is missing, too many, or of another shape.
        """
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(f'{type(self).__name__}: there is no file {checkpoint!r}. {self._expected_file()}')
        state = read_state(str(checkpoint), map_location)
        if prefix is None:
            prefix = self.default_prefix if any(key.startswith(self.default_prefix) for key in state) else ''
        elif prefix:
            prefix = prefix.removesuffix('.') + '.'
        found = self._own_keys({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)})
        own = self._own_state()
        self._check_weights(found, own, checkpoint)
        used = {key: value for key, value in found.items() if key in own}
        self._take(used)
        others = [key for key in state if not key.startswith(prefix)]
        print_log(
            f'{type(self).__name__}: {len(used)} of {len(own)} tensors loaded from {checkpoint}. '
            f'Not in the file, so at their initial values: {_parts([key for key in own if key not in used], self.report_levels)}. '
            f'In the file, not used: {_parts([key for key in found if key not in own] + others, self.unused_levels)}.',
            logger='current',
        )
        if hasattr(self, '_params_init_info'):
            update_init_info(self, init_info=f'loaded from {checkpoint}')

    def _own_state(self) -> dict[str, Tensor]:
        """This network's tensors by name."""
        return self.state_dict()

    def _take(self, used: dict[str, Tensor]) -> None:
        """Puts a file's tensors, by their names here, in place."""
        self.load_state_dict(used, strict=False)

    @abstractmethod
    def _own_keys(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        """A file's tensors under the names they have here; what has no place here keeps its name."""

    @abstractmethod
    def _in_trunk(self, key: str) -> bool:
        """Whether a key is of the part that the file must hold, no more and no less."""

    @abstractmethod
    def _expected_file(self) -> str:
        """Which file is meant and where it is to be had: the end of every error."""

    def _described(self) -> str:
        """The arguments that decide which weights fit, for errors."""
        return f'depth={self.depth}, norm_cfg={self.norm_cfg}'

    def _check_weights(self, found: dict[str, Tensor], own: dict[str, Tensor], checkpoint: str) -> None:
        wanted = {key for key in own if self._in_trunk(key) and not key.endswith('num_batches_tracked')}
        problems = [
            *(f'{key} is missing' for key in sorted(wanted - found.keys())),
            *(f'{key} has no place' for key in found if self._in_trunk(key) and key not in own),
            *(
                f'{key} is {tuple(found[key].shape)} instead of {tuple(value.shape)}'
                for key, value in own.items()
                if key in found and found[key].shape != value.shape
            ),
        ]
        if problems:
            more = f' and {len(problems) - 3} more' if len(problems) > 3 else ''
            raise ValueError(
                f"{checkpoint} doesn't fit {type(self).__name__}({self._described()}): "
                f'{", ".join(problems[:3])}{more}. {self._expected_file()}'
            )


def split_init_cfg(init_cfg: dict | list[dict] | None) -> tuple[list[dict], list[dict]]:
    """mmengine's `init_cfg` -> those that read a file, the others."""
    configs = [init_cfg] if isinstance(init_cfg, dict) else init_cfg or []
    files = [config for config in configs if config['type'] in ('Pretrained', PretrainedInit)]
    return files, [config for config in configs if config not in files]


def read_state(checkpoint: str, map_location: str) -> dict[str, Tensor]:
    """Tensors of a checkpoint by their names: a state dict, bare or under `state_dict`, a `.safetensors` file or a TorchScript archive."""
    if checkpoint.endswith('.safetensors'):
        from safetensors.torch import load_file  # comes with timm, whose files at Hugging Face are of this kind

        return load_file(checkpoint, device=map_location)
    if is_torchscript(checkpoint):
        return {key: value.to(map_location) for key, value in read_torchscript(checkpoint).items()}
    content = CheckpointLoader.load_checkpoint(checkpoint, map_location=map_location)
    state = content.get('state_dict', content) if isinstance(content, dict) else {}
    return {key: value for key, value in state.items() if isinstance(value, Tensor)}


def _parts(keys: list[str], levels: int = 2) -> str:
    """Names to so many levels, each once: 'extra.0, extra.1'."""
    return ', '.join(dict.fromkeys('.'.join(key.split('.')[:levels]) for key in keys)) or 'nothing'
