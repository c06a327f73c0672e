"""What a text-query model says of a phrase, pixel by pixel (distance_map_decoders_instanceclipseg, Figures 5, 6, 8 and 9)."""

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from .pictures import draw_scalar

_SIDES = ('left', 'top', 'right', 'bottom')


def phrase_pictures(maps: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Title -> (h, w, 3) uint8 RGB: the probability of the mask, the centres, and how far each side of the object's box is.

    Args:
        maps: of one phrase, name -> (C, h, w): `mask_prob`, `heatmap` in [0, 1], `distance` as shares of the image's sides; some or all.
    """
    pictures = {}
    if 'mask_prob' in maps:
        pictures['mask'] = draw_scalar(maps['mask_prob'][0], 'gray', low=0, high=1)
    if 'heatmap' in maps:
        pictures['centres'] = draw_scalar(maps['heatmap'][0], 'inferno', low=0, high=1)
    if 'distance' in maps:
        longest = max(float(maps['distance'].max()), 1e-6)
        for side, distance in zip(_SIDES, maps['distance'], strict=True):
            pictures[f'to the {side}, up to {longest:.2f}'] = draw_scalar(distance, 'viridis', low=0, high=longest)
    return pictures
