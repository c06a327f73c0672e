from .bottom_up import BottomUpSegmentor
from .instance_clipseg import InstanceCLIPSeg

__all__ = ['BottomUpSegmentor', 'InstanceCLIPSeg']
