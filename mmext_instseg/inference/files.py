"""Results of several images as files."""

from collections.abc import Iterable, Iterator, Sequence
from os.path import relpath
from pathlib import Path

import torch

from ..structures import InstanceMap, to_coco, to_geojson, to_labelme, write_json

FORMATS = ('coco', 'labelme', 'geojson')
_EMPTY = InstanceMap.from_ids(torch.zeros((1, 1), dtype=torch.int32), torch.zeros(0))


def result_file(out: Path, kind: str, image: str | Path) -> Path:
    """Where `save_results` writes a format: OUT/coco.json for all images, OUT/labelme/NAME.json and OUT/geojson/NAME.geojson for each."""
    stem = Path(image).stem
    return {'coco': out / 'coco.json', 'labelme': out / f'labelme/{stem}.json', 'geojson': out / f'geojson/{stem}.geojson'}[kind]


def save_results(
    results: Iterable[tuple[str | Path, InstanceMap]],
    classes: Sequence[str],
    out: str | Path,
    formats: Sequence[str] = FORMATS,
    transform: Sequence[float] | None = None,
    crs: str | None = None,
    tolerance: float = 0,
) -> list[Path]:
    """Writes results as COCO JSON (RLE), LabelMe JSON and GeoJSON.

    Args:
        results: pairs of an image's path and its instances, taken one after the other, so that one at a time is in memory.
        classes: names of the labels.
        out: folder; files that are there already are left alone.
        formats: some of `FORMATS`.
        transform, crs: of the GeoJSON, as in `to_geojson`.
        tolerance: in pixels, of the outlines in LabelMe's and GeoJSON; as in `trace_instances`.

    Returns:
        The files. LabelMe's name the image relative to themselves, COCO's by its name alone.

    Raises:
        ValueError: an unknown format; a file that is there already; and as the exporters.
    """
    if unknown := [kind for kind in formats if kind not in FORMATS]:
        raise ValueError(f'unknown format {unknown[0]!r}; there are {", ".join(FORMATS)}')
    to_geojson(_EMPTY, classes, transform, crs, tolerance)  # refuses bad arguments before the first result is made
    out, written = Path(out), []

    def each() -> Iterator[tuple[str, InstanceMap]]:
        for image, instances in results:
            for kind in formats:
                path = result_file(out, kind, image)
                if kind == 'labelme':
                    write_json(path, to_labelme(instances, classes, relpath(image, path.parent), tolerance))
                elif kind == 'geojson':
                    write_json(path, to_geojson(instances, classes, transform, crs, tolerance))
                else:
                    continue
                written.append(path)
            yield Path(image).name, instances

    if 'coco' in formats:
        coco = to_coco(each(), classes)
        write_json(result_file(out, 'coco', ''), coco)
        written.append(result_file(out, 'coco', ''))
    else:
        for _ in each():
            pass
    return written
