"""Five published instance and panoptic segmentation methods for MMDetection and MMSegmentation.

Importing the package registers every part under its plain name, so a config needs no more than
`custom_imports = dict(imports=['mmext_instseg'], allow_failed_imports=False)`.
"""

import sys

from .compat import startup
from .version import __version__

startup.install()  # before mmdet is imported: it needs mmcv's ops

#: What kept the package from importing; only `python -m mmext_instseg.check_env` goes on with one, to explain it.
import_error: Exception | None = None
try:
    from . import compat

    compat.apply()
    from . import codecs, datasets, engine, evaluation, models, visualization
except Exception as error:
    if f'{__name__}.check_env' not in sys.orig_argv:
        raise
    import_error = error

__all__ = ['__version__', 'codecs', 'compat', 'datasets', 'engine', 'evaluation', 'import_error', 'models', 'visualization']
