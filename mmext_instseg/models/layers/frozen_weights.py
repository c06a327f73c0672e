"""A network frozen at the weights of its own file, which checkpoints name instead of repeating."""

import hashlib
from typing import Any

import torch
from mmengine.logging import print_log
from torch import Tensor, nn

from .local_weights import LocalWeights, split_init_cfg

FINGERPRINT = 'fingerprint'


class FrozenWeights(LocalWeights):
    """A network that may be frozen: no gradients, always in eval mode, so no optimiser state, and not in checkpoints.

    What stands in a checkpoint is the fingerprint of the weights, 32 bytes. Loading it restores them from `weights`, if they aren't in
    place already, and compares. Weights that didn't come from a file (none was given; or a checkpoint brought them, of a model that trained
    them) can't be restored from one, so they stay in checkpoints.

    A checkpoint with a fingerprint also loads into a network that isn't frozen: it takes the weights of the file.

    Args:
        frozen: as above; the subclass calls `freeze` at the end of its `__init__`.
        weights: a local file, the same as `init_cfg=dict(type='Pretrained', checkpoint=PATH)`. Named here it also stands in the config
            where mmdet's `init_detector` drops `init_cfg`.
    """

    def __init__(self, frozen: bool, weights: str | None, init_cfg: dict | list[dict] | None) -> None:
        given = [init_cfg] if isinstance(init_cfg, dict) else list(init_cfg or [])
        super().__init__([*given, *([] if weights is None else [dict(type='Pretrained', checkpoint=str(weights))])])
        self.frozen = frozen
        self._fingerprint: bytes | None = None  # of the file whose weights are in place

    @property
    def from_file(self) -> bool:
        """Whether the weights in place are those of the file."""
        return self._fingerprint is not None

    def freeze(self) -> None:
        """Takes effect if `frozen`."""
        if self.frozen:
            self.requires_grad_(False)
            self.eval()
            self._register_state_dict_hook(_leave_out)

    def train(self, mode: bool = True) -> 'FrozenWeights':
        super().train(mode and not self.frozen)
        return self

    def init_weights(self) -> None:
        if self.frozen and not split_init_cfg(self.init_cfg)[0]:
            print_log(f'{type(self).__name__} is frozen at random weights: name a file of weights, or set frozen=False', 'current')
        super().init_weights()

    def _own_state(self) -> dict[str, Tensor]:
        return dict(self.named_parameters())

    def _take(self, used: dict[str, Tensor]) -> None:
        super()._take(used)
        self._fingerprint = fingerprint(used)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        theirs = state_dict.pop(prefix + FINGERPRINT, None)
        if theirs is not None:
            self._restore(bytes(theirs.tolist()))
            state_dict.update({prefix + key: value.detach() for key, value in self.named_parameters()})
        elif any(prefix + key in state_dict for key, _ in self.named_parameters()):
            self._fingerprint = None
        elif self.frozen and self._fingerprint is None and split_init_cfg(self.init_cfg)[0]:
            self.load_files()  # a checkpoint without them
        super()._load_from_state_dict(state_dict, prefix, *args)

    def _restore(self, theirs: bytes) -> None:
        """Puts the file's weights in place.

        Raises:
            FileNotFoundError: no such file.
            ValueError: none is named, or it holds other weights.
        """
        if self.frozen and self._fingerprint == theirs:
            return
        self.load_files()
        if self._fingerprint == theirs:
            return
        name, files = type(self).__name__, [config['checkpoint'] for config in split_init_cfg(self.init_cfg)[0]]
        found = 'none is named'
        if files and self._fingerprint is not None:
            found = f'{files[-1]} holds others (fingerprint {_short(self._fingerprint)})'
        raise ValueError(
            f"{name}: the checkpoint was made with frozen weights, which aren't in it but in a file of their own (fingerprint "
            f'{_short(theirs)}); {found}. Name that file, {name}(weights=PATH), and build the same blocks '
            f'(arch, taps). {self._expected_file()}'
        )


def fingerprint(state: dict[str, Tensor]) -> bytes:
    """SHA-256 of tensors by name, as float32: it doesn't depend on order, nor on a stored precision that holds them exactly."""
    digest = hashlib.sha256()
    for key in sorted(state):
        digest.update(f'{key} {tuple(state[key].shape)} '.encode())
        digest.update(state[key].detach().cpu().float().numpy().tobytes())
    return digest.digest()


def _leave_out(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, _: Any) -> None:
    assert isinstance(module, FrozenWeights)
    if module._fingerprint is not None:
        for key, _value in module.named_parameters():
            state_dict.pop(prefix + key, None)
        state_dict[prefix + FINGERPRINT] = torch.tensor(list(module._fingerprint), dtype=torch.uint8)


def _short(digest: bytes) -> str:
    return digest.hex()[:12]
