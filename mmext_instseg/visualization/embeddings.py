"""What embeddings look like: near ones have like colours (embedding_unet_dbscan, Figure 3)."""

import numpy as np
from sklearn.decomposition import PCA
from torch import Tensor


def embedding_colours(embedding: Tensor, foreground: Tensor) -> np.ndarray:
    """The first three principal components of the foreground's embeddings as red, green and blue.

    The component that spreads most, from its 1st to its 99th percentile, fills its channel; the others keep their proportion to it, so
    that colours differ as the embeddings do and mere noise stays faint (ours). scikit-learn settles the signs, so the same embeddings
    always have the same colours.

    Args:
        embedding: (d, H, W).
        foreground: (H, W) bool, the pixels that count.

    Returns:
        (H, W, 3) uint8 RGB; white outside the foreground, grey where the embedding isn't finite. Memory about
        32 bytes * d * foreground pixels.
    """
    picture = np.full((*foreground.shape, 3), 255, dtype=np.uint8)
    mask = foreground.cpu()
    values = embedding.detach().cpu()[:, mask].T.double()
    finite = values.isfinite().all(dim=1).numpy()
    colours = np.full((len(values), 3), 150.0)
    points = values.numpy()[finite]
    if len(points) > 1:
        count, parts = min(3, *points.shape), np.zeros((len(points), 3))
        with np.errstate(invalid='ignore'):  # shares of a variance that is 0
            parts[:, :count] = PCA(count, svd_solver='full').fit_transform(points)
        low, high = np.percentile(parts, (1, 99), axis=0)
        colours[finite] = 127.5 + 255 * (parts - (low + high) / 2) / max((high - low).max(), 1e-9)
    picture[mask.numpy()] = np.round(np.clip(colours, 0, 255)).astype(np.uint8)
    return picture
