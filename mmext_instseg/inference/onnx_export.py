"""From a detector to ONNX files that `OnnxSegmentor`, or anything else, runs."""

import inspect
import json
import warnings
from collections.abc import Container, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor

from .onnx import FORMAT, MANIFEST, PHRASES, OnnxPart
from .onnx_networks import NetworkPart, exportable, network_parts
from .tiled import image_steps

OPSET = 18
TOLERANCE = 1e-4
_NETWORK = ('backbone', 'neck', 'text_encoder', 'data_preprocessor', 'train_cfg', 'init_cfg', 'pretrained')


@torch.no_grad()
def export_onnx(
    detector: BaseModel, cfg: Config, folder: str | Path, size: tuple[int, int] | None = None, phrases: Sequence[str] = ()
) -> list[Path]:
    """Writes a detector's network as ONNX, with what is needed to use it beside.

    Each file is run with onnxruntime and compared with the detector before it is kept, at two sizes where the size is free.

    Args:
        detector: a BottomUpSegmentor, SOLOv2 or InstanceCLIPSeg, with its weights and `dataset_meta`.
        cfg: its config.
        folder: gets the files: network.onnx, or image_encoder.onnx and decoder.onnx; network.json; with phrases phrases.npz.
        size: (H, W) of the network's input, in pixels; None: any multiple of the preprocessor's `pad_size_divisor`.
        phrases: for an InstanceCLIPSeg: their embeddings are written along.

    Returns:
        what was written.

    Raises:
        ImportError: onnx or onnxruntime isn't there.
        ValueError: the folder has such files already; a detector, setting or operator that can't be exported; a network whose file
            computes something else. No file is left then.
    """
    folder = Path(folder)
    manifest = make_manifest(detector, cfg, size)
    divisor = manifest['input']['multiple_of']
    step = -(-32 // divisor) * divisor
    traced = size or (4 * step, 6 * step)
    copied = exportable(detector, traced, dynamic=size is None)
    parts = network_parts(copied, traced, dynamic=size is None)
    encoded = None
    if phrases:
        if not hasattr(detector, 'text_encoder'):
            raise ValueError(f'a {type(detector).__name__} takes no phrases')
        encoded = copied.text_encoder(list(phrases)).numpy()
    written = [*(folder / f'{part.name}.onnx' for part in parts), folder / MANIFEST, *([folder / PHRASES] if phrases else [])]
    if there := [path for path in (*written, folder / PHRASES) if path.exists()]:
        raise ValueError(f'{there[0]} is there already; move or delete it, or choose another folder')
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix='unfinished_', dir=folder) as unfinished:
        for part in parts:
            path = Path(unfinished, f'{part.name}.onnx')
            _write(part, path, cfg.filename or type(detector).__name__)
            _verify(part, path, None if size else (6 * step + divisor, 3 * step))
            manifest['parts'][part.name] = dict(file=path.name, inputs=list(part.inputs), outputs=list(part.outputs))
        Path(unfinished, MANIFEST).write_text(json.dumps(manifest, indent=1), encoding='utf-8')
        if encoded is not None:
            np.savez(Path(unfinished, PHRASES), phrases=np.array(phrases), embeddings=encoded)
        for path in list(Path(unfinished).iterdir()):
            path.rename(folder / path.name)
    return written


def make_manifest(detector: BaseModel, cfg: Config, size: tuple[int, int] | None) -> dict[str, Any]:
    """What network.json says, but for the parts.

    Raises:
        ValueError: a size that the network can't have; results that need the ground truth; a config that isn't plain data.
    """
    model = cfg.model.to_dict()
    before = {'mean': None, 'pad_size_divisor': 1, **model['data_preprocessor']}
    divisor = before['pad_size_divisor']
    if size is not None and any(side % divisor for side in size):
        fit = [-(-side // divisor) * divisor for side in size]
        raise ValueError(f'a size of {size[0]} {size[1]} is no multiple of pad_size_divisor={divisor}: take {fit[0]} {fit[1]}')
    test = model.get('test_cfg') or {}
    if wanted := [name for name in ('true_maps', 'oracle') if test.get(name)]:
        raise ValueError(
            f'test_cfg.{wanted[0]}={test[wanted[0]]!r} takes the ground truth, which an exported network has none of; remove it'
        )
    steps = image_steps(cfg)
    steps[0] = {**steps[0], 'type': 'mmdet.LoadImageFromNDArray'}
    manifest = dict(
        format=FORMAT,
        detector=model['type'].rsplit('.', 1)[-1],
        classes=list(detector.dataset_meta['classes']),
        input=dict(
            layout='1, 3, height, width; float32',
            size=size,
            multiple_of=divisor,
            color='RGB' if before.get('bgr_to_rgb') or before.get('rgb_to_bgr') else 'BGR',
            mean=before['mean'] or [0.0] * 3,
            std=before['std'] if before['mean'] else [1.0] * 3,
            pad_value=before.get('pad_value', 0),
        ),
        parts={},
        post_processing=_post_processing(detector, {key: value for key, value in model.items() if key not in _NETWORK}),
        pipeline=[dict(step) for step in steps],
    )
    try:
        return json.loads(json.dumps(manifest))
    except TypeError as error:
        raise ValueError(f'the config has something besides numbers, texts, lists and dicts ({error}): name types by their text') from None


def _post_processing(detector: Any, config: dict[str, Any]) -> dict[str, Any]:
    """A detector's config without its network, and with the defaults of what decodes its maps: who reads it needn't know them."""
    if 'codec' not in config:
        head, grids = detector.mask_head, ('num_grids', 'strides', 'dynamic_conv_size')
        features = _with_defaults(config['mask_head']['mask_feature_head'], type(head.mask_feature_head), ('mask_stride',))
        return {**config, 'mask_head': {**_with_defaults(config['mask_head'], type(head), grids), 'mask_feature_head': features}}
    heads = dict(config['heads'])
    if heads.get('semantic'):
        heads['semantic'] = _with_defaults(heads['semantic'], type(detector.heads['semantic']), ('num_stuff_classes',))
    codec = _with_defaults(config['codec'], type(detector.codec))
    return {**config, 'codec': codec, 'heads': heads, 'test_cfg': asdict(detector.test_settings)}


def _with_defaults(config: dict[str, Any], kind: type, names: Container[str] | None = None) -> dict[str, Any]:
    """A config of a class with its arguments' defaults, those of its parents too that it passes on; of all arguments or some."""
    found: dict[str, Any] = {}
    for one in kind.__mro__:
        if '__init__' not in vars(one):
            continue
        arguments = inspect.signature(one.__init__).parameters.values()
        found = {argument.name: argument.default for argument in arguments if argument.default is not argument.empty} | found
        if not any(argument.kind is argument.VAR_KEYWORD for argument in arguments):
            break
    return {name: value for name, value in found.items() if names is None or name in names} | config


def difference(found: dict[str, Tensor], wanted: Sequence[Tensor]) -> float:
    """The largest absolute difference of a map, divided by the largest absolute value in that map; of all maps the largest."""
    worst = 0.0
    for (name, mine), theirs in zip(found.items(), wanted, strict=True):
        if mine.shape != theirs.shape:
            raise ValueError(f'{name} has the shape {tuple(mine.shape)}, in PyTorch {tuple(theirs.shape)}')
        scale = theirs.abs().max().clamp(min=torch.finfo(torch.float32).tiny)
        worst = max(worst, float((mine - theirs).abs().max() / scale))
    return worst


def _write(part: NetworkPart, path: Path, config: str) -> None:
    """By the exporter that traces. The one of torch.export keeps the size of CoordConv's maps and takes 20 times as long.

    Raises:
        ValueError: the network has an operator that it doesn't know, or can't be traced; names `config`.
    """
    with warnings.catch_warnings(), _plain_attention():
        warnings.simplefilter('ignore')  # Python numbers in a trace: `_verify` finds out those that matter
        try:
            torch.onnx.export(
                part.module,
                tuple(part.inputs.values()),
                str(path),
                input_names=list(part.inputs),
                output_names=list(part.outputs),
                dynamic_axes=part.axes,
                opset_version=OPSET,
                dynamo=False,
            )
        except RuntimeError as error:  # also the exporter's own; it names the operator
            reason = str(error).partition('\n')[0]
            raise ValueError(
                f'{config}: {path.name} can not be exported: {reason}. Take a config without that part of the network'
            ) from None


def _verify(part: NetworkPart, path: Path, other: tuple[int, int] | None) -> None:
    """Runs a file on random inputs, at another size too where there is one.

    Raises:
        ImportError: there is no onnxruntime.
        ValueError: onnxruntime can't read it, or it doesn't give what the module gives.
    """
    try:
        run = OnnxPart(path, part.outputs)
    except ImportError:
        raise
    except Exception as error:  # onnxruntime's own errors have no common class
        raise ValueError(f'onnxruntime can not read {path.name}: {error}. This network can not be exported') from None
    generator = torch.Generator().manual_seed(0)
    shapes = [[tuple(one.shape) for one in part.inputs.values()]]
    if other is not None:
        shapes.append([(1, 3, *other)])
    for one in shapes:
        inputs = [torch.randn(shape, generator=generator) for shape in one]
        try:
            worst = difference(run(*inputs), part.module(*inputs))
        except Exception as error:  # as above
            raise ValueError(f'{path.name} does not run on {one}: {error}. {_cure(other)}') from None
        if worst > TOLERANCE:
            raise ValueError(f'{path.name} differs from PyTorch by {worst:.1e} of the scale on {one}. {_cure(other)}')


def _cure(other: tuple[int, int] | None) -> str:
    return 'Name a fixed size by --size H W' if other is not None else 'This network can not be exported'


@contextmanager
def _plain_attention():
    """Without the fused encoder layer, which ONNX doesn't know."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
