from .segnet import SegNet
from .vgg import VGGEncoder
from .vgg_deeplab import VGGDeepLab

__all__ = ['SegNet', 'VGGDeepLab', 'VGGEncoder']
