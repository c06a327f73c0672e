"""Lists of images, and how to divide a folder into training, validation and test images."""

import json
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import numpy as np

SPLITS = ('train', 'val', 'test')
_DRAWS = 100  # random splits of which the one with the evenest classes is taken (ours)


def read_names(path: str | Path) -> list[str]:
    """Names of a list file: a line each (empty lines and those that begin with # don't count), or a JSON list of strings.

    Raises:
        ValueError: missing, empty or of another kind; names the file.
    """
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
        names = json.loads(text) if Path(path).suffix == '.json' else _lines(text)
    except OSError as error:
        raise ValueError(
            f'{path}: can not be read ({error.strerror}); correct the path, or make lists with tools/labelme.py split'
        ) from None
    except ValueError as error:
        raise ValueError(f'{path}: neither text in UTF-8 nor JSON ({error}); write a name a line') from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'{path}: not a JSON list of names; write ["frame_1", "frame_2"], one file for each split')
    names = [name for name in names if name]
    if not names:
        raise ValueError(f'{path}: no name in it; list the images of the split')
    return names


def _lines(text: str) -> list[str]:
    return [name for line in text.splitlines() if not (name := line.strip()).startswith('#')]


def split_sizes(total: int, ratios: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to `ratios` that add up to `total`, by largest remainders.

    Raises:
        ValueError: ratios below 0 or all 0, or a split that should have images but gets none.
    """
    if min(ratios) < 0 or not 0 < sum(ratios) < float('inf'):
        raise ValueError(f'ratios must be 0 or more, and not all 0; they are {list(ratios)}')
    exact = np.array(ratios) / sum(ratios) * total
    sizes = np.floor(exact).astype(int)
    sizes[np.argsort(sizes - exact, kind='stable')[: total - sizes.sum()]] += 1
    if any(ratio and not size for ratio, size in zip(ratios, sizes, strict=True)):
        raise ValueError(f'{total} images are too few for a split of {":".join(f"{ratio:g}" for ratio in ratios)}; they would be {sizes}')
    return sizes.tolist()


def split_by_density(counts: np.ndarray, ratios: Sequence[float] = (70, 15, 15), seed: int = 0) -> np.ndarray:
    """Random split, stratified by the number of objects in an image (embedding U-Net paper,
    Section 7.1).

    In the order of that number (equal ones at random), the images of each split are spread evenly: one of its n images comes from each
    n-th part. Of 100 such splits the one whose splits have the most similar shares of classes is taken (ours; the paper says that
    classes are balanced, not how).

    Args:
        counts: (N, C) objects of each class in each image.

    Returns:
        (N,) index of the ratio that each image falls to.
    """
    rng = np.random.default_rng(seed)
    sizes = split_sizes(len(counts), ratios)
    overall = counts.sum(0) / max(counts.sum(), 1)
    best, least = np.zeros(len(counts), dtype=int), float('inf')
    for _ in range(_DRAWS):
        order = np.lexsort([rng.random(len(counts)), counts.sum(1)])
        places = np.concatenate([(np.arange(size) + rng.random(size)) / max(size, 1) for size in sizes])
        drawn = np.empty(len(counts), dtype=int)
        drawn[order] = np.repeat(np.arange(len(sizes)), sizes)[np.argsort(places, kind='stable')]
        totals = np.stack([counts[drawn == index].sum(0) for index in range(len(sizes)) if sizes[index]])
        uneven = np.abs(totals / np.maximum(totals.sum(1, keepdims=True), 1) - overall).max(initial=0)
        if uneven < least:
            best, least = drawn, uneven
    return best


def split_by_frame(names: Sequence[str], ratios: Sequence[float] = (70, 15, 15)) -> np.ndarray:
    """Three contiguous stretches in the order of the frames' numbers, for videos, whose neighbouring frames show the same objects.

    Several videos follow each other in the order of their names.

    Args:
        names: as 'DJI_0485_6168'; the last number counts.

    Returns:
        (N,) as `split_by_density`.

    Raises:
        ValueError: a name without number.
    """
    keys = []
    for name in names:
        found = re.fullmatch(r'(.*?)(\d+)(\D*)', PurePosixPath(name).name)
        if found is None:
            raise ValueError(f'{name}: no frame number in the name; split at random or rename the files')
        keys.append((str(PurePosixPath(name).parent), found[1], int(found[2]), found[3]))
    order = sorted(range(len(names)), key=keys.__getitem__)
    drawn = np.empty(len(names), dtype=int)
    drawn[order] = np.repeat(np.arange(len(ratios)), split_sizes(len(names), ratios))
    return drawn


def split_rows(counts: np.ndarray, drawn: np.ndarray, classes: Sequence[str]) -> list[list[str]]:
    """Table of a split: images, objects, objects an image (mean, and the least to the most), and each class's objects and share."""
    rows = [['split', 'images', 'objects', 'objects/image', 'from-to', *classes]]
    for name, chosen in [*((name, drawn == index) for index, name in enumerate(SPLITS)), ('all', drawn >= 0)]:
        of_split = counts[chosen]
        if not len(of_split):
            continue
        objects, totals = of_split.sum(1), of_split.sum(0)
        shares = [f'{count:,} ({count / max(totals.sum(), 1):.1%})' for count in totals.tolist()]
        spread = f'{objects.min()}-{objects.max()}'
        rows.append([name, f'{len(of_split):,}', f'{objects.sum():,}', f'{objects.mean():.2f}', spread, *shares])
    return rows
