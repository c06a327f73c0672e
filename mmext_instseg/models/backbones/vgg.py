"""VGG as an encoder."""

import re

import torchvision
from mmcv.cnn import ConvModule
from mmpretrain.models.backbones import VGG
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..layers.local_weights import LocalWeights


class VGGEncoder(LocalWeights, VGG):
    """mmpretrain's VGG without its classifier; pools round sizes up, so that every pixel (x, y) has its block floor((x, y) / stride).

    `init_cfg=dict(type='Pretrained', checkpoint=PATH)` reads a local file in torchvision's or mmpretrain's layout, or a checkpoint of
    ours (see `load_weights`); nothing is downloaded. Without it, convolutions start by He's initialisation.

    Args:
        depth: 11, 13, 16 or 19.
        norm_cfg: normalisation in VGG's convolutions: None as vgg16, dict(type='BN') as vgg16_bn. The weights' file must agree.
        frozen_stages: the first so many of the five stages aren't trained.
        norm_eval: VGG's normalisation keeps its running statistics in training.
        kwargs: further arguments of mmpretrain's VGG.
    """

    def __init__(
        self,
        depth: int = 16,
        norm_cfg: dict | None = None,
        frozen_stages: int = -1,
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
        **kwargs,
    ) -> None:
        if not -1 <= frozen_stages <= 5:
            raise ValueError(f'{type(self).__name__}.frozen_stages must be from -1 (none) to 5 (all of VGG), not {frozen_stages}')
        if init_cfg is not None:
            kwargs['init_cfg'] = init_cfg
        super().__init__(depth, norm_cfg=norm_cfg, frozen_stages=frozen_stages, norm_eval=norm_eval, ceil_mode=True, **kwargs)
        del self.num_classes  # mmdet's NumClassCheckHook compares every attribute of that name with the data set
        self.depth = depth
        self.norm_cfg = norm_cfg
        self._freeze_stages()

    def train(self, mode: bool = True) -> 'VGGEncoder':
        nn.Module.train(self, mode)
        self._freeze_stages()
        if self.norm_eval:
            for module in self.features.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self

    def _own_keys(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        places = self._conv_places(found)
        return {self._own_key(key, places): value for key, value in found.items()}

    def _in_trunk(self, key: str) -> bool:
        return key.startswith('features.')

    def _conv_places(self, found: dict[str, Tensor]) -> dict[int, int]:
        """Index in torchvision's `features` -> index in ours, of each convolution; nothing where the file is in another layout."""
        matches = [(re.fullmatch(r'features\.(\d+)\.weight', key), value) for key, value in found.items()]
        theirs = sorted(int(match[1]) for match, value in matches if match and value.ndim == 4)
        ours = [index for index, layer in enumerate(self.features) if isinstance(layer, ConvModule)]
        return dict(zip(theirs, ours, strict=False))  # another depth: what is left over or missing is told by _check_weights

    @staticmethod
    def _own_key(key: str, places: dict[int, int]) -> str:
        """torchvision's features.N.weight -> features.M.conv.weight; normalisation follows its convolution; other keys stay."""
        match = re.fullmatch(r'features\.(\d+)\.(\w+)', key)
        index = int(match[1]) if match else -1
        for position, name in ((index, 'conv'), (index - 1, 'bn')):
            if match and position in places:
                return f'features.{places[position]}.{name}.{match[2]}'
        return key

    def _expected_file(self) -> str:
        name, norm = (f'vgg{self.depth}', '') if self.norm_cfg is None else (f'vgg{self.depth}_bn', ' with batch norm')
        url = torchvision.models.get_weight(f'{name.upper()}_Weights.IMAGENET1K_V1').url
        return (
            f'Expected is a local file of VGG-{self.depth}{norm} with the keys of torchvision (features.N.weight) or mmpretrain '
            f"(backbone.features.N.conv.weight). Download torchvision's {url} or {name}_batch256_imagenet from mmpretrain's model zoo, "
            "and name it in init_cfg=dict(type='Pretrained', checkpoint=PATH)."
        )
