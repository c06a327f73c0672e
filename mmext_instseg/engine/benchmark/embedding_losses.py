"""The embedding losses, forward and backward: by segments against instance by instance."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from torch import Tensor

from ...codecs import EmbeddingCodec
from .embedding_decode import draw_embeddings
from .embedding_loops import LOOPS
from .measurement import Case

_CLOSE = 1e-3  # relative, in float32


def embedding_loss_cases(
    size: tuple[int, int], instances: Sequence[int], device: torch.device, dims: int = 32, seed: int = 0
) -> Iterator[tuple[str, Case]]:
    """(name of the loss, case) of every loss and number of instances.

    Blobs take 30 % of the pixels; their means are about 1 apart and pixels 0.6 from their mean, so that every term counts.

    Args:
        size: (H, W) of the maps of one image.
        instances: numbers K.
        dims: d.
    """
    scenes = [draw_embeddings(EmbeddingCodec(dims), size, count, device, seed) for count in instances]
    for kind, loop in LOOPS.items():
        for maps, _, blobs in scenes:
            noise = 0.1 * torch.randn(maps['embedding'].shape, generator=torch.Generator().manual_seed(seed))
            pred = maps['embedding'] / 2 + noise.to(device)
            ids, num = blobs.ids[None].to(device), [len(blobs)]
            columns = dict(loss=kind.__name__, size='{}x{}'.format(*size), instances=len(blobs))
            ours, theirs = (partial(losses_and_gradient, form, pred, ids, num) for form in (kind(), loop))
            yield kind.__name__, Case(columns, size[0] * size[1], ours, theirs, find_difference)


def losses_and_gradient(form: Callable, pred: Tensor, ids: Tensor, num: Sequence[int]) -> tuple[dict[str, Tensor], Tensor]:
    """What a loss gives, but for the regulariser that the paper leaves out, and the gradient of its sum by the embeddings."""
    leaf = pred.detach().requires_grad_()
    losses = form(leaf, ids, num)
    losses.pop('loss_reg', None)
    (gradient,) = torch.autograd.grad(torch.stack(list(losses.values())).sum(), leaf)
    return {name: value.detach() for name, value in losses.items()}, gradient


def find_difference(found: tuple[dict[str, Tensor], Tensor], expected: tuple[dict[str, Tensor], Tensor]) -> str | None:
    """What differs between two results by more than rounding; None: nothing."""
    (losses, gradient), (true_losses, true_gradient) = found, expected
    for name, value in true_losses.items():
        if not torch.allclose(losses[name], value, rtol=_CLOSE, atol=1e-6):
            return f'{name} is {float(losses[name]):.6g}, by the loop {float(value):.6g}, so their times say nothing'
    if torch.linalg.vector_norm(gradient - true_gradient) > _CLOSE * torch.linalg.vector_norm(true_gradient):
        return 'the loss and the loop have different gradients, so their times say nothing'
    return None
