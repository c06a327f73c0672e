from .bottom_up import BottomUpSegmentor

__all__ = ['BottomUpSegmentor']
