"""Segment ids as RGB colours: id = R + 256 G + 256^2 B."""

import json
from collections.abc import Iterable
from typing import Any

import numpy as np

BASES = (1, 256, 256**2)


def rgb2id(color: np.ndarray | Iterable[int]) -> np.ndarray | int:
    """Ids of an image (H, W, 3) as (H, W) int32, or the id of one colour."""
    if isinstance(color, np.ndarray) and color.ndim == 3:
        return color.astype(np.int32) @ np.array(BASES, dtype=np.int32)
    red, green, blue = color
    return int(red) + 256 * int(green) + 256**2 * int(blue)


def id2rgb(ids: np.ndarray | int) -> np.ndarray | list[int]:
    """Colours (H, W, 3) uint8 of an id map (H, W), or the colour of one id as a list."""
    if isinstance(ids, np.ndarray):
        return np.stack([(ids // base) % 256 for base in BASES], axis=-1).astype(np.uint8)
    return [int(ids) // base % 256 for base in BASES]


class IdGenerator:
    """Unused colours for the segments of one image: the category's own first, then ones near it.

    Args:
        categories: id -> category with `isthing` and `color` (R, G, B).
    """

    def __init__(self, categories: dict[int, dict]) -> None:
        self.categories = categories
        self.taken = {(0, 0, 0)} | {tuple(one['color']) for one in categories.values() if not one['isthing']}
        self.random = np.random.default_rng(0)

    def get_color(self, cat_id: int) -> list[int]:
        category = self.categories[cat_id]
        base = tuple(category['color'])
        if not category['isthing'] or base not in self.taken:
            self.taken.add(base)
            return list(base)
        while True:
            near = np.clip(self.random.integers(-30, 31, 3) + base, 0, 255)
            color = tuple(int(value) for value in near)
            if color not in self.taken:
                self.taken.add(color)
                return list(color)

    def get_id(self, cat_id: int) -> int:
        return self.get_id_and_color(cat_id)[0]

    def get_id_and_color(self, cat_id: int) -> tuple[int, list[int]]:
        color = self.get_color(cat_id)
        return int(rgb2id(color)), color


def save_json(data: Any, path: str) -> None:
    with open(path, 'w', encoding='utf-8') as file:
        json.dump(data, file)
