"""The module `mmcv._ext` where mmcv has no compiled one: some ops in Python, a clear error for all the others.

Loaded by the finder of `compat/startup.py`. It must not import mmext_instseg.
"""

from collections.abc import Callable

from .deform_attn import ms_deform_attn_backward, ms_deform_attn_forward
from .deform_conv import modulated_deform_conv_backward, modulated_deform_conv_forward
from .focal_loss import sigmoid_focal_loss_backward, sigmoid_focal_loss_forward
from .nms import nms
from .roi_align import roi_align_backward, roi_align_forward

__all__ = [
    'get_compiler_version',
    'get_compiling_cuda_version',
    'modulated_deform_conv_backward',
    'modulated_deform_conv_forward',
    'ms_deform_attn_backward',
    'ms_deform_attn_forward',
    'nms',
    'roi_align_backward',
    'roi_align_forward',
    'sigmoid_focal_loss_backward',
    'sigmoid_focal_loss_forward',
]

CURE = (
    'mmcv-lite has no compiled ops, and the fallback of mmext_instseg does not write this one out. Either choose another op in the '
    'config, or install mmcv 2.1 with compiled ops instead (needs a C++ compiler, nvcc for CUDA, and 20 to 40 minutes): '
    'pip uninstall -y mmcv-lite && MMCV_WITH_OPS=1 pip install --no-build-isolation --no-binary mmcv "mmcv>=2.1,<2.2"'
)


def get_compiler_version() -> str:
    """What mmcv.utils.collect_env prints as the compiler."""
    return 'none (Python fallback of mmext_instseg)'


def get_compiling_cuda_version() -> str:
    """What mmcv.utils.collect_env prints as the CUDA compiler; the words are mmcv's for a build without CUDA."""
    return 'not available'


def __getattr__(name: str) -> Callable:
    # mmcv.ops asserts at import that every op it may ever call is there: so each name is, and only a call raises.
    if name.startswith('_'):
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')

    def missing_op(*args, **kwargs):
        raise NotImplementedError(f'{name} of mmcv._ext: {CURE}')

    missing_op.__name__ = missing_op.__qualname__ = name
    return missing_op
