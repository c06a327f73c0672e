"""The embedding losses as their equations are written, instance by instance with a mask each: what the package's are compared with."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ...models.losses import CenterEmbeddingLoss, ContrastiveEmbeddingLoss, DiscriminativeLoss, TripletEmbeddingLoss

Terms = dict[str, list[Tensor]]


def discriminative_loop(
    pred: Tensor, ids: Tensor, num: Sequence[int], delta_var: float = 0.5, delta_dist: float = 2.0
) -> dict[str, Tensor]:
    """L_var, L_dist and the regulariser of a batch; arguments as `DiscriminativeLoss.forward`."""
    terms: Terms = {'loss_var': [], 'loss_dist': [], 'loss_reg': []}
    for pixels, means in instances_of(pred, ids, num):
        excess = [(distance(e, c) - delta_var).clamp(min=0).square().mean() for e, c in zip(pixels, means, strict=True)]
        terms['loss_var'].append(torch.stack(excess).mean())
        terms['loss_reg'].append(torch.stack([torch.linalg.vector_norm(c) for c in means]).mean())
        if len(means) > 1:
            terms['loss_dist'].append(means_apart(means, delta_dist))
    return averaged(terms, pred)


def contrastive_loop(pred: Tensor, ids: Tensor, num: Sequence[int], margin: float = 2.0) -> dict[str, Tensor]:
    """`ContrastiveEmbeddingLoss`."""
    terms: Terms = {'loss_var': [], 'loss_dist': []}
    for pixels, means in instances_of(pred, ids, num):
        terms['loss_var'].append(over_instances(pixels, means, lambda e, c, _: distance(e, c).square() / 2))
        if len(means) > 1:
            gap = over_instances(pixels, means, lambda e, _, n: (margin - distance(e, n)).clamp(min=0).square() / 2)
            terms['loss_dist'].append(gap)
    return averaged(terms, pred)


def triplet_loop(pred: Tensor, ids: Tensor, num: Sequence[int], margin: float = 1.0) -> dict[str, Tensor]:
    """`TripletEmbeddingLoss`."""
    terms: Terms = {'loss_triplet': []}
    for pixels, means in instances_of(pred, ids, num):
        if len(means) > 1:
            excess = over_instances(pixels, means, lambda e, c, n: (distance(e, c) - distance(e, n) + margin).clamp(min=0))
            terms['loss_triplet'].append(excess)
    return averaged(terms, pred)


def center_loop(pred: Tensor, ids: Tensor, num: Sequence[int], delta_dist: float = 2.0) -> dict[str, Tensor]:
    """`CenterEmbeddingLoss`."""
    terms: Terms = {'loss_var': [], 'loss_dist': []}
    for pixels, means in instances_of(pred, ids, num):
        terms['loss_var'].append(over_instances(pixels, means, lambda e, c, _: distance(e, c).square() / 2))
        if len(means) > 1:
            terms['loss_dist'].append(means_apart(means, delta_dist))
    return averaged(terms, pred)


def instances_of(pred: Tensor, ids: Tensor, num: Sequence[int]) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Of each image that has any: the pixels (N_k, d) of its instances, and their means (d,)."""
    for embedding, owner, count in zip(pred, ids, num, strict=True):
        pixels = [embedding[:, owner == label].T for label in range(1, count + 1)]
        pixels = [one for one in pixels if len(one)]
        if pixels:
            yield pixels, [one.mean(dim=0) for one in pixels]


def over_instances(pixels: list[Tensor], means: list[Tensor], loss: Callable[[Tensor, Tensor, Tensor], Tensor]) -> Tensor:
    """Mean over the instances of the mean of loss(pixels, own mean, nearest other mean); its own where it is alone."""
    table, total = torch.stack(means), []
    for k, (e, c) in enumerate(zip(pixels, means, strict=True)):
        apart = distance(table, c).detach()
        apart[k] = torch.inf
        total.append(loss(e, c, table[apart.argmin()]).mean())
    return torch.stack(total).mean()


def means_apart(means: list[Tensor], delta_dist: float) -> Tensor:
    """L_dist of two or more means."""
    table = torch.stack(means)
    first, second = torch.triu_indices(len(means), len(means), offset=1, device=table.device)
    return (delta_dist - distance(table[first], table[second])).clamp(min=0).square().mean()


def distance(first: Tensor, second: Tensor) -> Tensor:
    return torch.linalg.vector_norm(first - second, dim=-1)


def averaged(terms: Terms, pred: Tensor) -> dict[str, Tensor]:
    """Means over the images; 0 where no image has the term."""
    return {name: torch.stack(values).mean() if values else pred.sum() * 0 for name, values in terms.items()}


#: The written-out form of each loss.
LOOPS: dict[type, Callable[[Tensor, Tensor, Sequence[int]], dict[str, Tensor]]] = {
    DiscriminativeLoss: discriminative_loop,
    ContrastiveEmbeddingLoss: contrastive_loop,
    TripletEmbeddingLoss: triplet_loop,
    CenterEmbeddingLoss: center_loop,
}
