"""Random numbers and value noise that are the same bits everywhere.

NumPy promises a stable stream for its bit generators and for uniform doubles, and IEEE 754 fixes + - * / and the square root to
the last bit. It fixes neither sin, exp or pow, nor the order in which a sum is taken. So nothing in this package calls those on
floats: directions come from a rational parametrisation, log-uniform sizes from rejection.
"""

import numpy as np


class Draw:
    """A stream of random values, named by a tuple of non-negative integers.

    Args:
        key (int): Words of the seed; another tuple gives an independent stream.
    """

    def __init__(self, *key: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))

    def array(self, *shape: int) -> np.ndarray:
        """Uniform values in [0, 1), float64."""
        return self.generator.random(shape)

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        return low + (high - low) * float(self.generator.random())

    def below(self, count: int) -> int:
        """A whole number in 0..count-1."""
        return int(self.generator.random() * count)

    def log_uniform(self, low: float, high: float) -> float:
        """Density proportional to 1 / x on [low, high), by rejection (no logarithm)."""
        while True:
            value = self.uniform(low, high)
            if self.uniform() * value < low:
                return value

    def direction(self) -> tuple[float, float]:
        """A unit vector (cosine, sine); quarter turns are equally likely, angles within one nearly so."""
        t = self.uniform() * 0.41421356237309503
        x, y = (1 - t * t) / (1 + t * t), 2 * t / (1 + t * t)
        return ((x, y), (-y, x), (-x, -y), (y, -x))[self.below(4)]

    def permutation(self, count: int) -> list[int]:
        order = list(range(count))
        for i in range(count - 1, 0, -1):
            j = self.below(i + 1)
            order[i], order[j] = order[j], order[i]
        return order


def value_noise(draw: Draw, height: int, width: int, cell: float) -> np.ndarray:
    """Smooth noise: random values at lattice points `cell` pixels apart, joined by a cubic.

    Returns:
        np.ndarray: (height, width) float64 in [0, 1).
    """
    rows, cols = int(height / cell) + 2, int(width / cell) + 2
    lattice = draw.array(rows, cols)

    def split(length: int) -> tuple[np.ndarray, np.ndarray]:
        position = np.arange(length) / cell
        index = position.astype(np.int64)
        t = position - index
        return index, t * t * (3 - 2 * t)

    (iy, ty), (ix, tx) = split(height), split(width)
    upper = lattice[iy][:, ix] * (1 - tx) + lattice[iy][:, ix + 1] * tx
    lower = lattice[iy + 1][:, ix] * (1 - tx) + lattice[iy + 1][:, ix + 1] * tx
    return upper * (1 - ty)[:, None] + lower * ty[:, None]
