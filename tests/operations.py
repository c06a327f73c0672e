"""What a piece of code asks torch to do: operations, reads back from the device, tensors."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

#: Operations that wait for a GPU, because the host needs a value of theirs.
READS = {'aten._local_scalar_dense.default', 'aten.nonzero.default', 'aten.equal.default', 'aten._unique2.default'}


class Watch(TorchDispatchMode):
    """Every operation's name, and the most values of a tensor that one made."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[str] = []
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **kwargs or {})
        self.operations.append(str(func))
        made = [one for one in (out if isinstance(out, (tuple, list)) else [out]) if isinstance(one, Tensor)]
        self.largest = max([self.largest, *(one.untyped_storage().nbytes() // one.element_size() for one in made)])
        return out


def training_operations(model: nn.Module, losses: Callable[[], dict[str, Tensor]]) -> list[str]:
    """Those of `losses()` and of the gradient of their sum for a model; in alphabetical order."""
    model.zero_grad()
    with Watch() as watch:
        sum(value for name, value in losses().items() if 'loss' in name).backward()
    return sorted(watch.operations)
