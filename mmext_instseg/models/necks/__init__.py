from .csmf import CSMF
from .deeplabv3plus_decoder import DeepLabV3PlusDecoder
from .distance_map_decoder import DistanceMapDecoder
from .shallow_decoder import ShallowDecoder
from .twfpn import TWFPN

__all__ = ['CSMF', 'TWFPN', 'DeepLabV3PlusDecoder', 'DistanceMapDecoder', 'ShallowDecoder']
