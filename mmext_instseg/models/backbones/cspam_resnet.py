"""CSPAM: AML-SOLOv2's backbone, a ResNet of cross-stage partial stages with position attention."""

import re
from collections import OrderedDict
from collections.abc import Sequence

from mmengine.model import Sequential
from mmpretrain.models.backbones import CSPResNet
from mmpretrain.models.backbones.cspnet import CSPStage
from mmpretrain.models.backbones.resnet import BasicBlock, Bottleneck
from torch import Tensor, nn

from ...registry import MODELS
from ..layers import Mish, PositionAttention
from ..layers.local_weights import LocalWeights, split_init_cfg

# timm's names -> mmpretrain's
TIMM_NAMES = (
    (r'^stem\.conv1\.', 'stem.0.'),
    (r'\.conv_down\.', '.downsample_conv.'),
    (r'\.conv_exp\.', '.expand_conv.'),
    (r'\.conv_transition_b\.', '.atfer_blocks_conv.'),
    (r'\.conv_transition\.', '.final_conv.'),
    (r'(\.blocks\.\d+)\.conv(\d)\.conv\.', r'\1.conv\2.'),
    (r'(\.blocks\.\d+)\.conv(\d)\.bn\.', r'\1.bn\2.'),
)


@MODELS.register_module()
class CSPAMResNet(LocalWeights, CSPResNet):
    """The cross-stage backbone of Section 2.1 and Fig. 2, on mmpretrain's `CSPResNet`.

    A stage (`CSPStage`): 3x3 convolution of stride 2 (not in the first), 1x1 convolution whose output is split in two, one half passes the
    residual blocks and a 1x1 convolution, the other goes round; concatenation, 1x1 convolution. Mish is the activation everywhere.
    `PositionAttention` stands between residual blocks.

    Ours, where the paper is silent. Depth 50 is CSPNet's (Wang et al., 2020), as timm's cspresnet50 and mmpretrain have it: 3, 3, 5 and 2
    blocks, one less than ResNet after the first stage. Depth 101 likewise: 3, 3, 22, 2. Depth 18 keeps two basic blocks a stage, of 3/4 of
    the stage's output channels, and widens in the convolution of stride 2, not after it, which would squeeze a stage through half of its
    channels; that saves a tenth of ResNet's parameters. One attention a stage stands before the last block, so that of
    a pretrained stage only that block sees another input than it was trained on.

    | depth | `out_channels` | backbone's parameters, without and with attention in C4 and C5 | mmdet's ResNet |
    |---|---|---|---|
    | 18 | 64, 128, 256, 512 | 9.86 M, 10.00 M | 11.18 M |
    | 50 | 128, 256, 512, 1024 | 20.59 M, 21.60 M | 23.51 M |
    | 101 | 128, 256, 512, 1024 | 35.11 M, 36.12 M | 42.50 M |

    `init_cfg=dict(type='Pretrained', checkpoint=PATH)` reads a local file of timm's cspresnet50 or of mmpretrain's (ImageNet, trained with
    leaky ReLU: `act_cfg=dict(type='LeakyReLU', negative_slope=0.01)` keeps it), or a checkpoint of ours; see `LocalWeights.load_weights`.
    Attention starts at random. Without a file, convolutions start by He's initialisation and residual blocks as the identity, their last
    normalisation at 0 (both as mmdet's ResNet).

    Args:
        depth: 18, 50 or 101.
        out_indices: of C2, C3, C4, C5 at strides 4, 8, 16, 32; stages after the last aren't built.
        attention_stages: which of them (0 to 3) have attention.
        every_gap: attention between every two blocks (the other reading of "between the residual blocks") instead of once a stage.
        residual: as in `PositionAttention`.
        base_channels: width of the stem, a multiple of 4; all other widths are in proportion.
        frozen_stages: -1: nothing is frozen; 0: the stem; k: the stem and k stages, as in mmdet's ResNet.
        norm_cfg, act_cfg: normalisation and activation.
        norm_eval: batch norm keeps its running statistics in training. False, not mmdet's True: most start without weights here.

    Attributes:
        out_channels: channels of the outputs, for the neck's `in_channels`.
    """

    report_levels = 4

    def __init__(
        self,
        depth: int,
        out_indices: Sequence[int] = (0, 1, 2, 3),
        attention_stages: Sequence[int] = (2, 3),
        every_gap: bool = False,
        residual: bool = False,
        base_channels: int = 64,
        frozen_stages: int = -1,
        norm_cfg: dict = dict(type='BN'),
        act_cfg: dict = dict(type=Mish, inplace=False),  # in place, training would copy its input
        norm_eval: bool = False,
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        if depth not in (18, 50, 101):
            raise ValueError(f'CSPAMResNet.depth must be 18, 50 or 101, not {depth}')
        for name, stages in (('out_indices', out_indices), ('attention_stages', attention_stages)):
            if not set(stages) <= set(range(4)):
                raise ValueError(f'CSPAMResNet.{name} must be from 0 (C2) to 3 (C5), not {tuple(stages)}')
        if not out_indices:
            raise ValueError('CSPAMResNet.out_indices names no output')
        if base_channels % 4:
            raise ValueError(f'CSPAMResNet.base_channels must be a multiple of 4, not {base_channels}')
        if frozen_stages not in range(-1, 5):
            raise ValueError(f'CSPAMResNet.frozen_stages must be from -1 (none) to 4 (all), not {frozen_stages}')
        files, others = split_init_cfg(init_cfg)
        self.arch_settings = {depth: _arch(depth, base_channels)}
        super().__init__(
            depth,
            out_indices=sorted(set(out_indices)),
            norm_cfg=norm_cfg,
            act_cfg=act_cfg,
            norm_eval=norm_eval,
            init_cfg=others or dict(type='Kaiming', layer='Conv2d'),  # mmpretrain hands it on to the stages, so no file here
        )
        if files:
            self.init_cfg = [*others, *files]
        self.depth = depth
        self.frozen_stages = frozen_stages
        del self.stages[self.out_indices[-1] + 1 :]  # they would never get a gradient
        self.out_channels = tuple(self.arch['out_channels'][index] for index in self.out_indices)
        for index, stage in enumerate(self.stages):
            for block in stage.blocks:
                block.init_cfg = dict(type='Constant', val=0, override=dict(name='norm2' if depth == 18 else 'norm3'))
            if index in attention_stages:
                _insert_attention(stage, every_gap, residual)
        self._freeze_stages()

    def train(self, mode: bool = True) -> 'CSPAMResNet':
        super().train(mode)  # freezes, and norm_eval; mmpretrain's returns nothing
        return self

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W), any size -> (B, C, ceil(H / s), ceil(W / s)) of each output, from fine to coarse."""
        return super().forward(x)

    def _freeze_stages(self) -> None:
        for module in (self.stem, *self.stages)[: self.frozen_stages + 1]:
            module.eval()
            module.requires_grad_(False)

    def _own_keys(self, found: dict[str, Tensor]) -> dict[str, Tensor]:
        return {_own_key(key): value for key, value in found.items()}

    def _in_trunk(self, key: str) -> bool:
        stage = re.match(r'stages\.(\d+)\.(?!blocks\.attention)', key)
        return key.startswith('stem.') or (stage is not None and int(stage[1]) < len(self.stages))

    def _expected_file(self) -> str:
        if self.depth != 50:
            return f'There are no published weights of depth {self.depth}: expected is a checkpoint of this network.'
        return (
            'Expected is a local file of cspresnet50 with the keys of timm (stages.0.conv_exp.conv.weight) or mmpretrain '
            '(backbone.stages.0.expand_conv.conv.weight). Download model.safetensors of timm/cspresnet50.ra_in1k at huggingface.co or '
            "cspresnet50_3rdparty_8xb32_in1k from mmpretrain's model zoo, and name it in init_cfg=dict(type='Pretrained', checkpoint=PATH)."
        )


def _arch(depth: int, base_channels: int) -> dict:
    """Settings of mmpretrain's CSPNet."""
    if depth == 18:
        widths, blocks = (1, 1, 2, 4, 8), (2, 2, 2, 2)
        kind: dict = dict(block_fn=BasicBlock, expand_ratio=1.5, bottle_ratio=1, down_growth=True)
    else:
        widths, blocks = (1, 2, 4, 8, 16), (3, 3, 5 if depth == 50 else 22, 2)
        kind = dict(block_fn=Bottleneck, expand_ratio=4, bottle_ratio=2, down_growth=False)
    channels = tuple(base_channels * width for width in widths)  # of the stem and the stages
    return dict(
        **kind,
        num_blocks=blocks,
        in_channels=channels[:-1],
        out_channels=channels[1:],
        has_downsampler=(False, True, True, True),
    )


def _insert_attention(stage: CSPStage, every_gap: bool, residual: bool) -> None:
    """Before the last block, or before all but the first; the blocks keep their names, so that weights find them."""
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    last = len(stage.blocks) - 1
    for place, block in enumerate(stage.blocks):
        if place == last or (every_gap and place > 0):
            layers[f'attention{place}'] = PositionAttention(block.in_channels, residual)
        layers[str(place)] = block
    stage.blocks = Sequential(layers)


def _own_key(key: str) -> str:
    for theirs, ours in TIMM_NAMES:
        key = re.sub(theirs, ours, key)
    return key
