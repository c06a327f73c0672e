"""Parameters and floating-point operations of a detector's network, counted without running it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from torch._subclasses import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .detectors import build_model

PARTS = ('backbone', 'neck', 'head')


@dataclass
class Complexity:
    """What a network has, by part.

    Attributes:
        name: of the model.
        parameters: numbers of them, frozen ones included.
        flops: of one image, two for a multiply-add; those of convolutions and matrix products (attention's two as well) alone, as
            `torch.utils.flop_counter` counts.
        trained: parameters that get a gradient.
        activations: bytes that the backward pass of one image needs, in float32 and with fused attention, as torch's graph holds them;
            without losses, temporary tensors and what cuDNN takes.
    """

    name: str
    parameters: dict[str, int]
    flops: dict[str, int]
    trained: int = 0
    activations: int = 0


def count_complexity(name: str, config: ConfigDict, size: tuple[int, int]) -> Complexity:
    """Counts with torch's fake tensors, which have a shape and nothing else: no image costs time or memory.

    A text model is asked for one phrase of one word.

    Args:
        config: a detector with backbone, neck and heads. Its post-processing isn't counted: SOLOv2's dynamic convolution isn't, either.
        size: (H, W) in pixels; padded as the model's preprocessor does.

    Raises:
        ValueError: what the network computes depends on the image, as with the proposals of Mask R-CNN.
    """
    divisor = config.data_preprocessor.get('pad_size_divisor', 1)
    shape = tuple(-(-side // divisor) * divisor for side in size)
    model = build_model(config).eval()
    sample = DetDataSample(metainfo=dict(img_shape=shape, pad_shape=shape, ori_shape=shape, scale_factor=(1.0, 1.0)), text='object')
    fake = FakeTensorMode(allow_non_fake_inputs=True)  # on the CPU: autocast doesn't know the meta device
    weights: dict[str, torch.Tensor] = {name: fake.from_tensor(one) for name, one in (*model.named_parameters(), *model.named_buffers())}

    def run() -> Any:
        return torch.func.functional_call(model, weights, (torch.zeros(1, 3, *shape), [sample]), dict(mode='tensor'))

    plain = sdpa_kernel(SDPBackend.MATH)  # the counter doesn't know the CPU's own attention
    with fake, FlopCounterMode(display=False) as counter:
        try:
            with plain, torch.no_grad():
                run()
            total_flops = counter.get_total_flops()
            counts = {key: sum(counts.values()) for key, counts in counter.get_flop_counts().items()}
            activations = _saved_bytes(run, weights.values())
        except (AttributeError, NotImplementedError, RuntimeError) as error:
            problem = f'{name}: the network of a {config.type} depends on the image, so nothing can be counted without one ({error})'
            raise ValueError(problem) from None
    flops = {part: counts.get(f'{type(model).__name__}.{part}', 0) for part in PARTS}
    parameters = {part: _parameters(getattr(model, part, None)) for part in PARTS}
    for found, total in ((flops, total_flops), (parameters, _parameters(model))):
        found['head'] = total - found['backbone'] - found['neck']
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return Complexity(name, parameters, flops, trained, activations)


def _saved_bytes(run: Callable[[], Any], weights: Iterable[torch.Tensor]) -> int:
    """Bytes of the storages that autograd keeps of a forward pass, each once and without the weights."""
    own = {one.untyped_storage()._cdata for one in weights}
    saved: dict[int, int] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        saved[tensor.untyped_storage()._cdata] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), torch.enable_grad():
        kept = run()  # alive, so that no address is used twice
    del kept
    return sum(size for address, size in saved.items() if address not in own)


def _parameters(module: torch.nn.Module | None) -> int:
    return sum(one.numel() for one in module.parameters()) if module is not None else 0


def complexity_rows(counted: Sequence[Complexity]) -> list[list[str]]:
    """A header and a row a model: millions of parameters and GFLOPs, in all with the ratio to the first model, then by part."""
    rows = [['']]
    for unit, total in (('M', 'parameters/M'), ('GFLOPs', 'GFLOPs')):
        rows[0] += [total, 'ratio', *(f'{part}/{unit}' for part in PARTS)]
    for one in counted:
        row = [one.name]
        for own, first, scale in ((one.parameters, counted[0].parameters, 1e6), (one.flops, counted[0].flops, 1e9)):
            everything = sum(own.values())
            ratio = everything / sum(first.values())
            row += [f'{everything / scale:.2f}', f'{ratio:.3f}', *(f'{own[part] / scale:.2f}' for part in PARTS)]
        rows.append(row)
    return rows
