from .csmf import CSMF
from .deeplabv3plus_decoder import DeepLabV3PlusDecoder
from .twfpn import TWFPN

__all__ = ['CSMF', 'TWFPN', 'DeepLabV3PlusDecoder']
