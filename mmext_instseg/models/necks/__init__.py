from .deeplabv3plus_decoder import DeepLabV3PlusDecoder

__all__ = ['DeepLabV3PlusDecoder']
