"""Weights from local files, under the name that the backbones import; they are shared with necks and text encoders."""

from ..layers.local_weights import LocalWeights, read_state, split_init_cfg

__all__ = ['LocalWeights', 'read_state', 'split_init_cfg']
