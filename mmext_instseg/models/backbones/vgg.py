"""VGG as an encoder, and its ImageNet weights from a local file."""

import re
from pathlib import Path

import torchvision
from mmcv.cnn import ConvModule
from mmengine.logging import print_log
from mmengine.model import PretrainedInit, update_init_info
from mmengine.runner import CheckpointLoader
from mmpretrain.models.backbones import VGG
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


class VGGEncoder(VGG):
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

    init_cfg: dict | list[dict] | None

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

    def init_weights(self) -> None:
        """As mmengine's, but 'Pretrained' is `load_weights`."""
        configs = [self.init_cfg] if isinstance(self.init_cfg, dict) else self.init_cfg or []
        files = [config for config in configs if config['type'] in ('Pretrained', PretrainedInit)]
        if self.is_init or not files:
            super().init_weights()
            return
        whole, self.init_cfg = self.init_cfg, [config for config in configs if config not in files]
        super().init_weights()
        self.init_cfg = whole
        for config in files:
            self.load_weights(**{key: value for key, value in config.items() if key != 'type'})

    def load_weights(self, checkpoint: str, prefix: str | None = None, map_location: str = 'cpu') -> None:
        """Loads VGG's weights, and whatever else of this network the file holds; logs what was loaded, what wasn't and what is left over.

        Args:
            checkpoint: a local file: a state dict with `features.N.weight` (torchvision) or `features.N.conv.weight` (mmpretrain, ours),
                bare or under `state_dict`. It may hold more (a classifier, heads).
            prefix: what stands before these keys; by default 'backbone.' where the file has such keys.
            map_location: where tensors are read to.

        Raises:
            FileNotFoundError: no such file.
            ValueError: it isn't this VGG: a key of `features` is missing, too many, or of another shape.
        """
        if not Path(checkpoint).is_file():
            raise FileNotFoundError(f'{type(self).__name__}: there is no file {checkpoint!r}. {self._expected_file()}')
        content = CheckpointLoader.load_checkpoint(str(checkpoint), map_location=map_location)
        state = content.get('state_dict', content) if isinstance(content, dict) else {}
        state = {key: value for key, value in state.items() if isinstance(value, Tensor)}
        if prefix is None:
            prefix = 'backbone.' if any(key.startswith('backbone.') for key in state) else ''
        elif prefix:
            prefix = prefix.removesuffix('.') + '.'
        found = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        places = self._conv_places(found)
        found = {self._own_key(key, places): value for key, value in found.items()}
        own = self.state_dict()
        self._check_weights(found, own, checkpoint)
        used = {key: value for key, value in found.items() if key in own}
        self.load_state_dict(used, strict=False)
        others = [key for key in state if not key.startswith(prefix)]
        print_log(
            f'{type(self).__name__}: {len(used)} of {len(own)} tensors loaded from {checkpoint}. '
            f'Not in the file, so at their initial values: {_parts([key for key in own if key not in used])}. '
            f'In the file, not used: {_parts([key for key in found if key not in own] + others)}.',
            logger='current',
        )
        if hasattr(self, '_params_init_info'):
            update_init_info(self, init_info=f'loaded from {checkpoint}')

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

    def _check_weights(self, found: dict[str, Tensor], own: dict[str, Tensor], checkpoint: str) -> None:
        wanted = {key for key in own if key.startswith('features.') and not key.endswith('num_batches_tracked')}
        problems = [
            *(f'{key} is missing' for key in sorted(wanted - found.keys())),
            *(f'{key} has no place' for key in found if key.startswith('features.') and key not in own),
            *(
                f'{key} is {tuple(found[key].shape)} instead of {tuple(value.shape)}'
                for key, value in own.items()
                if key in found and found[key].shape != value.shape
            ),
        ]
        if problems:
            more = f' and {len(problems) - 3} more' if len(problems) > 3 else ''
            raise ValueError(
                f"{checkpoint} doesn't fit {type(self).__name__}(depth={self.depth}, norm_cfg={self.norm_cfg}): "
                f'{", ".join(problems[:3])}{more}. {self._expected_file()}'
            )

    def _expected_file(self) -> str:
        name, norm = (f'vgg{self.depth}', '') if self.norm_cfg is None else (f'vgg{self.depth}_bn', ' with batch norm')
        url = torchvision.models.get_weight(f'{name.upper()}_Weights.IMAGENET1K_V1').url
        return (
            f'Expected is a local file of VGG-{self.depth}{norm} with the keys of torchvision (features.N.weight) or mmpretrain '
            f"(backbone.features.N.conv.weight). Download torchvision's {url} or {name}_batch256_imagenet from mmpretrain's model zoo, "
            "and name it in init_cfg=dict(type='Pretrained', checkpoint=PATH)."
        )


def _parts(keys: list[str]) -> str:
    """Names to two levels, each once: 'extra.0, extra.1'."""
    return ', '.join(dict.fromkeys('.'.join(key.split('.')[:2]) for key in keys)) or 'nothing'
