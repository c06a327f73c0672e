"""Five published instance and panoptic segmentation methods for MMDetection and MMSegmentation.

Importing the package registers every part under its plain name, so a config needs no more than
`custom_imports = dict(imports=['mmext_instseg'], allow_failed_imports=False)`.
"""

from .compat import startup

startup.install()  # before mmdet is imported: it needs mmcv's ops

from . import compat  # noqa: E402

compat.apply()

from . import codecs, datasets, evaluation, models  # noqa: E402
from .version import __version__  # noqa: E402

__all__ = ['__version__', 'codecs', 'compat', 'datasets', 'evaluation', 'models']
