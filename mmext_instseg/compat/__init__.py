"""The one place that knows other libraries' faults. Each cure names the upstream issue and when it can go.

`startup` offers the modules that may be missing (`mmcv._ext`, `panopticapi`) and is installed before anything of OpenMMLab is
imported; `apply` cures modules that are there. `data_workers` waits until `PreemptionHook` asks for it.
"""


def apply() -> None:
    """Applies every cure; a second call changes nothing."""
    from . import checkpoints, launchers, libraries

    libraries.apply()
    checkpoints.apply()
    launchers.apply()
