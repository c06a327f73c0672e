from .clip_vit import CLIPViT
from .cspam_resnet import CSPAMResNet
from .dinov2_vit import DINOv2ViT
from .embedding_unet import EmbeddingUNet
from .segnet import SegNet
from .vgg import VGGEncoder
from .vgg_deeplab import VGGDeepLab

__all__ = ['CLIPViT', 'CSPAMResNet', 'DINOv2ViT', 'EmbeddingUNet', 'SegNet', 'VGGDeepLab', 'VGGEncoder']
