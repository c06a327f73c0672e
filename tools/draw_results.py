"""Pictures of what a model finds: image, its dense maps, classes, panoptic result, instances, and the ground truth."""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from _model import add_arguments, load_model, open_samples
from mmengine.dataset import pseudo_collate
from rich.progress import track

from mmext_instseg.codecs import CentroidGridCodec, EmbeddingCodec
from mmext_instseg.models.detectors import BottomUpSegmentor
from mmext_instseg.ops import edge_distance, edge_weight, sample_bilinear
from mmext_instseg.visualization import (
    confidence_colours,
    confidence_statistics,
    contact_sheet,
    draw_class_probability,
    draw_instances,
    draw_panel,
    draw_panoptic,
    draw_scalar,
    embedding_colours,
    panel_factor,
    size_confidence,
)

EXAMPLE = """example:
  python tools/draw_results.py configs/dcme/dcme_tiny_shapes.py work_dirs/first/iter_500.pth --out pictures --num 8
  python tools/draw_results.py configs/dcme/dcme_tiny_fruits.py fruits.pth --out pictures --images photo1.jpg photo2.jpg

Without --images it takes images of the test data set, evenly spread, with their ground truth. Everything is drawn at the size of the
network's input. OUT gets a PNG an image and contact_sheet.png with all of them."""


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    parser.add_argument('--out', type=Path, required=True, metavar='DIR', help='folder for the pictures')
    parser.add_argument('--num', type=int, default=8, metavar='N', help='how many images of the test data set (default: 8)')
    parser.add_argument('--images', type=Path, nargs='+', default=[], metavar='FILE', help='these images instead')
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num must be at least 1, not {args.num}')
    return args


@torch.no_grad()
def draw(model: BottomUpSegmentor, packed: dict, path: Path, title: str) -> Path:
    """Writes the panel of one image."""
    data = model.data_preprocessor(pseudo_collate([packed]), False)
    inputs, samples = data['inputs'], data['data_samples']
    shape, (height, width) = tuple(inputs.shape[-2:]), samples[0].img_shape[:2]
    heads = model.predict_heads(inputs)
    maps = model.choose_maps(heads, samples, shape)
    found = model.instances_from_maps(maps, samples, shape, rescale=False)[0].cpu()
    image = packed['inputs'].flip(0).permute(1, 2, 0).clamp(0, 255).byte().numpy()  # mmdet loads BGR
    displacement = None
    if 'displacement' in maps:
        vectors = maps['displacement'][0]
        pixels = vectors.new_tensor([shape[1] / vectors.shape[2], shape[0] / vectors.shape[1]]) * model.codec.unit  # a map pixel's
        displacement = sample_bilinear(vectors * pixels.view(2, 1, 1), (height, width), (height / shape[0], width / shape[1])).cpu()
    probability = None
    if 'class_prob' in maps:
        things = model.heads['semantic'].num_things_classes
        probability = without_padding(maps['class_prob'][0, :things], samples[0], shape).cpu()
    pictures, captions = other_pictures(model, maps, samples[0], shape), {}
    if isinstance(model.codec, EmbeddingCodec):
        pictures |= embedding_pictures(model, maps, samples[0], shape)
        confidence, name = size_confidence(found.boxes, found.shape), 'confidence (box size)'
        pictures[name] = draw_instances(image, found, panel_factor(found.shape), colours=confidence_colours(confidence))
        captions[name] = str(confidence_statistics(confidence))
    if model.test_settings.panoptic:
        head, result = model.heads['semantic'], model.results_from_maps(heads, samples, shape, rescale=False)[0]
        pictures['panoptic'] = draw_panoptic(result.pred_panoptic_seg.sem_seg[0], head.num_things_classes, head.num_classes)
    truth = samples[0].get('gt_instance_map')
    return draw_panel(
        path,
        image,
        found,
        truth=None if truth is None else truth.crop((height, width)).cpu(),
        displacement=displacement,
        class_prob=probability,
        class_names=model.dataset_meta.get('classes', ())[: len(probability) if probability is not None else 0],
        title=title,
        pictures=pictures,
        captions=captions,
    )


def other_pictures(model: BottomUpSegmentor, maps: dict[str, torch.Tensor], sample, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Centroids that codes name, the weights of their loss (Eq. 5), depth: as far as the model has them."""
    pictures = {}
    if isinstance(model.codec, CentroidGridCodec):
        code = maps[next(iter(model.codec.channels))]
        colours = without_padding(model.codec.colours(maps, [extent(code, sample, shape)])[0], sample, shape)
        pictures['centroid code (red: x, green: y)'] = (255 * colours).round().byte().permute(1, 2, 0).cpu().numpy()
        edge = model.heads['instance'].edge
        if edge is not None and 'gt_instance_map' in sample:
            ids = sample.gt_instance_map.resize(tuple(code.shape[-2:])).ids
            weight = edge_weight(edge_distance(ids[None]), **edge)[0]
            pictures['weight of the loss'] = draw_scalar(without_padding(weight, sample, shape), low=0, high=1)
    if 'depth' in maps:
        pictures['depth'] = draw_scalar(without_padding(maps['depth'][0, 0], sample, shape), 'magma')
    return pictures


def embedding_pictures(model: BottomUpSegmentor, maps: dict[str, torch.Tensor], sample, shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """The most probable class of each pixel, and the embeddings where it is a thing's: Figure 3 of embedding_unet_dbscan."""
    embedding = without_padding(maps['embedding'][0], sample, shape)
    foreground, pictures = torch.ones_like(embedding[0], dtype=torch.bool), {}
    if 'class_prob' in maps:
        probability = sample_bilinear(without_padding(maps['class_prob'][0], sample, shape), tuple(foreground.shape))
        head = model.heads['semantic']
        one_hot = torch.nn.functional.one_hot(probability.argmax(dim=0), len(probability)).permute(2, 0, 1)
        pictures['semantic mask'] = draw_class_probability(one_hot[: head.num_classes])
        if model.test_settings.foreground_threshold is not None:
            foreground = probability[: head.num_things_classes].sum(dim=0) > model.test_settings.foreground_threshold
    pictures['embeddings (principal components)'] = embedding_colours(embedding, foreground)
    return pictures


def without_padding(values: torch.Tensor, sample, shape: tuple[int, int]) -> torch.Tensor:
    """The part (..., h, w) of a map over the batch's input (H, W) that shows the image."""
    rows, cols = (max(round(side), 1) for side in extent(values, sample, shape))
    return values[..., :rows, :cols]


def extent(values: torch.Tensor, sample, shape: tuple[int, int]) -> tuple[float, float]:
    """(height, width) of that part."""
    rows, cols = (full * part / whole for full, part, whole in zip(values.shape[-2:], sample.img_shape[:2], shape, strict=True))
    return rows, cols


def main() -> None:
    args = parse_args()
    try:
        cfg, model = load_model(args)
        samples = open_samples(cfg, args.images, args.num)
        paths = []
        for make in track(samples, 'Drawing'):
            packed = make()
            name = Path(packed['data_samples'].img_path).name
            paths.append(draw(model, packed, args.out / f'{len(paths):03d}_{Path(name).stem}.png', name))
        paths.append(contact_sheet(paths, args.out / 'contact_sheet.png'))
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    print(*paths, sep='\n')


if __name__ == '__main__':
    main()
