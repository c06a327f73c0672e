"""Five published instance and panoptic segmentation methods for MMDetection and MMSegmentation."""

from .compat import startup

startup.install()
