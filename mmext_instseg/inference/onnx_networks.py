"""The networks of the detectors as modules with tensors in and tensors out: what ONNX files hold."""

import copy
from dataclasses import dataclass, field

import torch
from mmdet.models.detectors import SOLOv2
from mmengine.model import BaseModel
from mmseg.models.utils import Upsample
from torch import Tensor, nn

from ..models.detectors import BottomUpSegmentor, InstanceCLIPSeg

_POSITIONS = ('pos_embed', 'positional_embedding')


@dataclass
class NetworkPart:
    """What one file holds.

    Attributes:
        name: of the part, and of its file.
        module: takes `inputs` in their order and gives a tuple of tensors.
        inputs: examples by name.
        outputs: names.
        axes: free axes, {input or output: {axis: name}}.
    """

    name: str
    module: nn.Module
    inputs: dict[str, Tensor]
    outputs: tuple[str, ...]
    axes: dict[str, dict[int, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.module.eval()  # a wrapper starts in training, and torch's exporter would bring what is inside back to that


class BottomUpNetwork(nn.Module):
    """An image (1, 3, H, W) -> all heads' maps (1, C, h, w), as the codec reads them."""

    def __init__(self, detector: BottomUpSegmentor) -> None:
        super().__init__()
        self.detector = detector

    def named(self, image: Tensor) -> dict[str, Tensor]:
        return {name: value for maps in self.detector.predict_heads(image).values() for name, value in maps.items()}

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(image).values())


class SOLOv2Network(nn.Module):
    """An image (1, 3, H, W) -> kernels (1, D, g, g) of each level, class logits (1, C, g, g) of each level, mask features (1, D, h, w)."""

    def __init__(self, detector: SOLOv2) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        kernels, classes, features = self.detector.mask_head(self.detector.extract_feat(image))
        return (*kernels, *classes, features)


class ImageEncoder(nn.Module):
    """An image (1, 3, H, W) -> the image tower's taps, which no phrase changes."""

    def __init__(self, detector: InstanceCLIPSeg) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.detector.extract_feat(image)


class PhraseDecoder(nn.Module):
    """Taps of an image and the embedding of a phrase, (1, D) -> the phrase's maps (1, C, H, W), as the codec reads them."""

    def __init__(self, detector: InstanceCLIPSeg, shape: tuple[int, int]) -> None:
        super().__init__()
        self.detector, self.shape = detector, shape

    def named(self, *inputs: Tensor) -> dict[str, Tensor]:
        *taps, embedding = inputs
        return self.detector.maps_of(tuple(taps), embedding, None, self.shape)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.named(*inputs).values())


@torch.no_grad()
def network_parts(detector: BaseModel, shape: tuple[int, int], dynamic: bool = False) -> list[NetworkPart]:
    """The parts of a detector's network, with examples for an image of (H, W).

    Args:
        dynamic: height and width are free.

    Raises:
        ValueError: another detector than BottomUpSegmentor, SOLOv2 and InstanceCLIPSeg; free sizes where they can't be.
    """
    if dynamic and any(name.endswith(_POSITIONS) for name, _ in detector.backbone.named_parameters()):
        raise ValueError(
            f'{type(detector.backbone).__name__} interpolates its position embeddings to the size of the image, which an exported network '
            'does for one size only: name it by --size H W (size=(H, W))'
        )
    image = torch.zeros(1, 3, *shape)
    free = dict(image={2: 'height', 3: 'width'}) if dynamic else {}
    if isinstance(detector, BottomUpSegmentor):
        network = BottomUpNetwork(detector)
        names = tuple(network.named(image))
        free |= {name: {2: f'{name}_h', 3: f'{name}_w'} for name in names if dynamic}
        return [NetworkPart('network', network, dict(image=image), names, free)]
    if isinstance(detector, SOLOv2):
        levels = range(detector.mask_head.num_levels)
        names = (*(f'kernels_{level}' for level in levels), *(f'classes_{level}' for level in levels), 'mask_features')
        if dynamic:
            free['mask_features'] = {2: 'mask_features_h', 3: 'mask_features_w'}
        return [NetworkPart('network', SOLOv2Network(detector), dict(image=image), names, free)]
    if isinstance(detector, InstanceCLIPSeg):
        encoder, decoder = ImageEncoder(detector), PhraseDecoder(detector, shape)
        taps = {f'tap_{number}': tap for number, tap in enumerate(encoder(image))}
        inputs = {**taps, 'embedding': torch.zeros(1, detector.neck.film.mul.in_features)}
        names = tuple(decoder.named(*inputs.values()))
        return [NetworkPart('image_encoder', encoder, dict(image=image), tuple(taps)), NetworkPart('decoder', decoder, inputs, names)]
    raise ValueError(f'a {type(detector).__name__} can not be exported; BottomUpSegmentor, SOLOv2 and InstanceCLIPSeg can')


def exportable(detector: BaseModel, shape: tuple[int, int], dynamic: bool) -> BaseModel:
    """A copy on the CPU that a trace can follow; it computes the same.

    Position embeddings are those of (H, W), as constants. mmseg's Upsample computes its size as a Python number, which would stay that of
    the trace: torch's takes its place.
    """
    detector = copy.deepcopy(detector).cpu().float().eval()
    for module in list(detector.modules()):
        for name, child in module.named_children():
            if isinstance(child, Upsample) and not child.size:
                setattr(module, name, nn.Upsample(scale_factor=child.scale_factor, mode=child.mode, align_corners=child.align_corners))
    backbone = detector.backbone
    if not dynamic and hasattr(backbone, 'positions'):
        side = backbone.patch_size
        fixed = backbone.positions((shape[0] // side, shape[1] // side)).detach()
        backbone.positions = lambda grid: fixed
    return detector
