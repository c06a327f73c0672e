"""mmengine's root registries, under which every part of this package is registered.

A part in the root resolves by its plain name (`type='DCMECodec'`) from the mmdet, mmseg and mmpretrain scopes alike. Child
registries are searched first, so a child class of the same name would shadow ours: tests/test_registry.py compares them all.
"""

from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    TASK_UTILS,
    TRANSFORMS,
    VISUALIZERS,
)

__all__ = [
    'DATASETS',
    'DATA_SAMPLERS',
    'HOOKS',
    'LOOPS',
    'METRICS',
    'MODELS',
    'OPTIM_WRAPPER_CONSTRUCTORS',
    'TASK_UTILS',
    'TRANSFORMS',
    'VISUALIZERS',
]
