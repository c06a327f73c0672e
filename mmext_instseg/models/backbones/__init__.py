from .cspam_resnet import CSPAMResNet
from .segnet import SegNet
from .vgg import VGGEncoder
from .vgg_deeplab import VGGDeepLab

__all__ = ['CSPAMResNet', 'SegNet', 'VGGDeepLab', 'VGGEncoder']
