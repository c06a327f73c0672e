from .csmf import CSMF
from .deeplabv3plus_decoder import DeepLabV3PlusDecoder
from .shallow_decoder import ShallowDecoder
from .twfpn import TWFPN

__all__ = ['CSMF', 'TWFPN', 'DeepLabV3PlusDecoder', 'ShallowDecoder']
