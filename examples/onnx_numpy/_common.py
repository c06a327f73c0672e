"""What the scripts beside share: the files of an export, an image as its network reads it, the command line, results.

Shapes: (H, W) image, (h, w) maps, K instances. Nothing of torch or OpenMMLab is imported.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

FORMAT = 2
#: Which script decodes the maps of which detector and codec (or head).
SCRIPTS = {
    ('BottomUpSegmentor', 'DCMECodec'): 'dcme.py',
    ('BottomUpSegmentor', 'PECentroidCodec'): 'pe_centroid.py',
    ('BottomUpSegmentor', 'EmbeddingCodec'): 'embedding_unet.py',
    ('SOLOv2', 'AMLSOLOV2Head'): 'aml_solov2.py',
    ('InstanceCLIPSeg', 'BoxDistanceCodec'): 'instance_clipseg.py',
}
LOADED_AND_PACKED = ('LoadImageFromNDArray', 'PackDetInputs', 'PackDenseInputs')
COLOURS = np.array([(0, 159, 230), (233, 180, 86), (115, 158, 0), (0, 94, 213), (167, 121, 204), (178, 114, 0), (66, 228, 240)])  # BGR


class Export:
    """A folder of tools/export_onnx.py.

    Args:
        folder: with network.json and the files that it names.
        script: that wants to decode the maps.

    Attributes:
        settings: `post_processing` of network.json: codec, heads, test_cfg.
        classes: names of the labels.
        phrases: phrase -> (D,) embedding, those that were exported along.

    Raises:
        ValueError: no export there, one of another format, or of a method that another script decodes.
    """

    def __init__(self, folder: str | Path, script: str) -> None:
        self.folder = Path(folder)
        path = self.folder / 'network.json'
        if not path.is_file():
            raise ValueError(f'{path} is not a file; make it with python tools/export_onnx.py CONFIG CHECKPOINT --out {folder}')
        self.about = json.loads(path.read_text(encoding='utf-8'))
        if self.about.get('format') != FORMAT:
            raise ValueError(f'{path} has the format {self.about.get("format")!r}, this script reads {FORMAT}; export again')
        self.settings, self.classes = self.about['post_processing'], self.about['classes']
        method = (self.about['detector'], (self.settings.get('codec') or self.settings['mask_head'])['type'].split('.')[-1])
        if SCRIPTS.get(method) != script:
            cure = f'take {SCRIPTS[method]}' if method in SCRIPTS else 'take mmext_instseg.inference.onnx.OnnxSegmentor, which has torch'
            raise ValueError(f'{folder} is the export of a {method[0]} with {method[1]}, which {script} does not decode; {cure}')
        files = {name: self.folder / part['file'] for name, part in self.about['parts'].items()}
        if absent := [file for file in files.values() if not file.is_file()]:
            raise ValueError(f'{absent[0]} is not a file, though {path} names it; export again')
        self.parts = {name: onnxruntime.InferenceSession(str(file), providers=['CPUExecutionProvider']) for name, file in files.items()}
        self.phrases = {}
        if (self.folder / 'phrases.npz').is_file():
            with np.load(self.folder / 'phrases.npz', allow_pickle=False) as stored:
                self.phrases = dict(zip(stored['phrases'].tolist(), stored['embeddings'], strict=True))

    def run(self, part: str, *inputs: np.ndarray) -> dict[str, np.ndarray]:
        """A file's outputs (1, ...) by name, from its inputs (1, ...) in their order."""
        names = self.about['parts'][part]
        found = self.parts[part].run(names['outputs'], dict(zip(names['inputs'], inputs, strict=True)))
        return dict(zip(names['outputs'], found, strict=True))

    def prepare(self, image: np.ndarray) -> tuple[np.ndarray, tuple[int, int]]:
        """(H, W, 3) uint8 BGR -> what the network reads, (1, 3, H', W') float32; and (h', w'), the part of it that shows the image.

        Raises:
            ValueError: a step of the pipeline that isn't known here; an image larger than the exported size.
        """
        settings = self.about['input']
        for step in self.about['pipeline']:
            kind = step['type'].split('.')[-1]
            if kind in ('Resize', 'AlignedResize') and set(step) <= {'type', 'scale', 'keep_ratio'}:
                image = cv2.resize(image, resized(image.shape[1::-1], step['scale'], step.get('keep_ratio', False)))
            elif kind not in LOADED_AND_PACKED:
                raise ValueError(f"the export's pipeline has the step {step}, which this example doesn't know; add it to _common.py")
        height, width = image.shape[:2]
        multiple = settings['multiple_of']
        full = settings['size'] or [-(-side // multiple) * multiple for side in (height, width)]
        if height > full[0] or width > full[1]:
            raise ValueError(
                f'an image of {height}x{width} (height x width, as the network reads it) is larger than the exported {full[0]}x{full[1]}: '
                'export with a larger --size, or make the image smaller'
            )
        pixels = image[..., ::-1] if settings['color'] == 'RGB' else image
        pixels = (pixels.astype(np.float32) - np.float32(settings['mean'])) / np.float32(settings['std'])
        pad = ((0, 0), (0, full[0] - height), (0, full[1] - width))
        return np.pad(pixels.transpose(2, 0, 1), pad, constant_values=settings['pad_value'])[None], (height, width)


def resized(size: Sequence[int], scale: int | Sequence[int], keep_ratio: bool) -> tuple[int, int]:
    """The (width, height) to which mmcv's `Resize` brings a (width, height)."""
    scale = (scale, scale) if isinstance(scale, int) else (scale[0], scale[1])
    if not keep_ratio:
        return scale
    factor = min(max(scale) / max(size), min(scale) / min(size))
    return int(size[0] * factor + 0.5), int(size[1] * factor + 0.5)


def read_image(path: str | Path) -> np.ndarray:
    """(H, W, 3) uint8 BGR.

    Raises:
        ValueError: not an image.
    """
    image = cv2.imread(str(path)) if Path(path).is_file() else None
    if image is None:
        raise ValueError(f'{path} is not a file, or not an image that OpenCV can read')
    return image


def result_of(masks: np.ndarray, labels: np.ndarray, scores: np.ndarray, **more: np.ndarray) -> dict[str, np.ndarray]:
    """What a script saves: masks (K, H, W) bool, boxes (K, 4) float32 x1, y1, x2, y2 of their outer edges, labels, scores, and more."""
    boxes = np.zeros((len(masks), 4), np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        if mask.any():
            rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
            box[:] = cols[0], rows[0], cols[-1] + 1, rows[-1] + 1
    return dict(masks=masks, boxes=boxes, labels=labels.astype(np.int64), scores=scores.astype(np.float32), **more)


def draw(image: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """The image with each mask in a colour, its outline in full; the first one is on top."""
    shown = image.copy()
    for number in reversed(range(len(masks))):
        colour = COLOURS[number % len(COLOURS)]
        shown[masks[number]] = (shown[masks[number]] + colour) // 2
        outlines, _ = cv2.findContours(masks[number].astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(shown, outlines, -1, colour.tolist())
    return shown


def main(script: str, text: str, segment: Callable[..., dict[str, np.ndarray]], phrases: bool = False) -> None:
    """The command line of a script.

    Args:
        script: name of its file.
        text: its docstring.
        segment: called with the export and the image, and with a list of phrases where there are; returns a `result_of`.
        phrases: whether it takes them.
    """
    command = f'python examples/onnx_numpy/{script} exported photo.jpg --out found' + (' --text "a dog" "red cup"' if phrases else '')
    parser = argparse.ArgumentParser(
        description=text, epilog=f'example:\n  {command}', formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', metavar='FOLDER', help='of tools/export_onnx.py')
    parser.add_argument('image', metavar='IMAGE')
    parser.add_argument('--out', default='found', metavar='NAME', help='OUT.npz gets the results, OUT.png a picture (default: %(default)s)')
    if phrases:
        parser.add_argument('--text', nargs='+', metavar='PHRASE', help='phrases with an exported embedding; default: all of these')
    args = parser.parse_args()
    try:
        export, image = Export(args.folder, script), read_image(args.image)
        found = segment(export, image, *([args.text or list(export.phrases)] if phrases else []))
        np.savez_compressed(f'{args.out}.npz', **found)
        cv2.imwrite(f'{args.out}.png', draw(image, found['masks']))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    names = found['phrases'] if phrases else export.classes
    for label, score, mask in zip(found['labels'], found['scores'], found['masks'], strict=True):
        print(f'{names[label]}: {score:.3f}, {mask.sum()} pixels')
    print(f'{args.out}.npz\n{args.out}.png')
