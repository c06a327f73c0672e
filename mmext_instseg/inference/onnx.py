"""Exported networks by onnxruntime, and their instances: `OnnxSegmentor`."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.dataset import Compose
from mmengine.model import BaseModel
from mmengine.registry import DefaultScope
from torch import Tensor, nn

from .tiled import as_array

MANIFEST = 'network.json'
PHRASES = 'phrases.npz'
FORMAT = 2


class OnnxPart:
    """One exported file, as a function of tensors on the CPU.

    Args:
        path: of the file.
        outputs: names of what it gives.
        threads: that onnxruntime takes; 0: all.

    Raises:
        ImportError: there is no onnxruntime; says what to install.
    """

    def __init__(self, path: Path, outputs: Sequence[str], threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError:
            raise ImportError('exported networks need onnxruntime: pip install -r requirements/export.txt') from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(path), options, providers=['CPUExecutionProvider'])
        self.inputs = tuple(one.name for one in self.session.get_inputs())
        self.outputs = tuple(outputs)

    def __call__(self, *inputs: Tensor) -> dict[str, Tensor]:
        """Outputs by name."""
        feed = {name: value.numpy() for name, value in zip(self.inputs, inputs, strict=True)}
        return dict(zip(self.outputs, map(torch.from_numpy, self.session.run(list(self.outputs), feed)), strict=True))


class OnnxSegmentor:
    """A folder of `tools/export_onnx.py`, run by onnxruntime on the CPU.

        segment = OnnxSegmentor('exported')
        instances = segment('photo.jpg').pred_instances

    Images go through the config's test pipeline, networks through onnxruntime, and their maps through the detector's own
    post-processing, codec included, in torch on the CPU. No weights but those in the ONNX files are there. `examples/onnx_numpy` does
    without torch.

    Args:
        folder: with network.json and the files that it names.
        threads: of onnxruntime; 0: as many as there are cores.

    Attributes:
        manifest: network.json.
        classes: names of the labels.
        embeddings: phrase -> (D,) array, those that were exported along.

    Raises:
        ImportError: there is no onnxruntime.
        ValueError: no such folder.
    """

    def __init__(self, folder: str | Path, threads: int = 0) -> None:
        folder = Path(folder)
        self.manifest = read_manifest(folder)
        self.classes = tuple(self.manifest['classes'])
        self.parts = {name: OnnxPart(folder / one['file'], one['outputs'], threads) for name, one in self.manifest['parts'].items()}
        self.embeddings: dict[str, np.ndarray] = {}
        if (folder / PHRASES).is_file():
            with np.load(folder / PHRASES, allow_pickle=False) as stored:
                self.embeddings = dict(zip(stored['phrases'].tolist(), stored['embeddings'], strict=True))
        with DefaultScope.overwrite_default_scope('mmdet'):
            self.pipeline = Compose([_tuples(step) for step in self.manifest['pipeline']])
        self.detector = _post_processing(self.manifest['post_processing'])
        _CONNECT[self.manifest['detector']](self.detector, self.parts)

    @torch.no_grad()
    def __call__(self, image: str | Path | np.ndarray, phrases: Sequence[str] | Mapping[str, np.ndarray] = ()) -> DetDataSample:
        """Instances of an image.

        Args:
            image: a file, or (H, W, 3) uint8 BGR.
            phrases: for an InstanceCLIPSeg: those that were exported along, or any with their embeddings (D,).

        Returns:
            A sample as mmdet's `inference_detector` gives it, with `pred_instances` (bboxes, labels, scores, masks) and whatever else the
            config predicts, at the image's size.

        Raises:
            ValueError: an image that can't be read, or is larger than the exported size after the pipeline; a phrase without an embedding.
        """
        inputs, sample = self.prepare(image, tuple(phrases))
        if 'decoder' in self.parts:
            self.detector.text_encoder.known = {**self.embeddings, **(phrases if isinstance(phrases, Mapping) else {})}
        return self.detector.predict(inputs, [sample])[0]

    def prepare(self, image: str | Path | np.ndarray, phrases: tuple[str, ...] = ()) -> tuple[Tensor, DetDataSample]:
        """What the network reads: (1, 3, H, W) float32, normalised and padded below and to the right; and the sample."""
        data = self.pipeline(dict(img=as_array(image), img_id=0, text=phrases))
        array = normalise(data['inputs'].numpy(), self.manifest['input'])
        sample = data['data_samples']
        sample.set_metainfo(dict(text=phrases, batch_input_shape=array.shape[-2:]))
        return torch.from_numpy(array), sample


def normalise(image: np.ndarray, settings: dict) -> np.ndarray:
    """(3, h, w) uint8 BGR -> (1, 3, H, W) float32 as the network reads it.

    Args:
        settings: `input` of the manifest: color, mean, std, size and multiple_of.

    Raises:
        ValueError: the image is larger than the network's size.
    """
    pixels = image[::-1] if settings['color'] == 'RGB' else image
    mean, std = (np.asarray(settings[key], np.float32).reshape(3, 1, 1) for key in ('mean', 'std'))
    pixels = (pixels.astype(np.float32) - mean) / std
    height, width = image.shape[1:]
    multiple = settings['multiple_of']
    full = settings['size'] or [-(-side // multiple) * multiple for side in (height, width)]
    if height > full[0] or width > full[1]:
        raise ValueError(
            f"an image of {height}x{width} (height x width, after the config's pipeline) is larger than the exported {full[0]}x{full[1]}: "
            'export with a larger --size, or make the image smaller'
        )
    return np.pad(pixels, ((0, 0), (0, full[0] - height), (0, full[1] - width)), constant_values=settings['pad_value'])[None]


def read_manifest(folder: Path) -> dict[str, Any]:
    """The contents of a folder's network.json.

    Raises:
        ValueError: there is none, or one of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise ValueError(f'{path} is not a file; make it with python tools/export_onnx.py CONFIG CHECKPOINT --out {folder}')
    manifest = json.loads(path.read_text(encoding='utf-8'))
    if manifest.get('format') != FORMAT:
        raise ValueError(f'{path} has the format {manifest.get("format")!r}, this version reads {FORMAT}; export again')
    return manifest


def _tuples(value: Any) -> Any:
    """JSON's lists as tuples, which mmcv's transforms insist on for sizes."""
    if isinstance(value, dict):
        return {key: _tuples(one) for key, one in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


class _Embeddings(nn.Module):
    """Stands for the text tower: phrases -> (P, D), looked up."""

    known: Mapping[str, np.ndarray]

    def forward(self, phrases: list[str]) -> Tensor:
        if unknown := [phrase for phrase in phrases if phrase not in self.known]:
            raise ValueError(
                f'there is no embedding of {unknown[0]!r}: export with --text {unknown[0]!r}, or give phrases={{phrase: embedding}}; '
                f'known are {sorted(self.known)}'
            )
        return torch.from_numpy(np.stack([self.known[phrase] for phrase in phrases]).astype(np.float32))


def _post_processing(config: dict) -> BaseModel:
    """The detector without a network: its heads have no values, its codec and settings are what counts."""
    nothing = dict(type=nn.Identity)
    stands_in: dict[str, Any] = dict(backbone=nothing, neck=None)
    if config['type'] == 'InstanceCLIPSeg':
        stands_in = dict(backbone=nothing, neck=nothing, text_encoder=nothing)
    with DefaultScope.overwrite_default_scope('mmdet'), torch.device('meta'):
        return MODELS.build(ConfigDict(**config, **stands_in))


def _connect_bottom_up(detector: Any, parts: dict[str, OnnxPart]) -> None:
    detector.predict_heads = lambda image: {'network': parts['network'](image)}


def _connect_solov2(detector: Any, parts: dict[str, OnnxPart]) -> None:
    def head(image: Tensor) -> tuple[list[Tensor], list[Tensor], Tensor]:
        *levels, features = parts['network'](image).values()
        return levels[: len(levels) // 2], levels[len(levels) // 2 :], features

    detector.extract_feat = lambda image: image
    detector.mask_head.forward = head


def _connect_text(detector: Any, parts: dict[str, OnnxPart]) -> None:
    def decode(taps: tuple[Tensor, ...], embeddings: Tensor, image: Tensor, shape: tuple[int, int]) -> dict[str, Tensor]:
        found = [parts['decoder'](*taps, embedding[None]) for embedding in embeddings]
        return {name: torch.cat([maps[name] for maps in found]) for name in found[0]}

    detector.text_encoder = _Embeddings()
    detector.extract_feat = lambda image: tuple(parts['image_encoder'](image).values())
    detector.maps_of = decode


_CONNECT: dict[str, Callable[[Any, dict[str, OnnxPart]], None]] = {
    'BottomUpSegmentor': _connect_bottom_up,
    'SOLOv2': _connect_solov2,
    'InstanceCLIPSeg': _connect_text,
}
