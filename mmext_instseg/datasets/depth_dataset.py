"""Images with a depth map each, such as NYUv2."""

from pathlib import Path

from mmengine.dataset import BaseDataset

from ..registry import DATASETS


@DATASETS.register_module()
class DepthDataset(BaseDataset):
    """Folders of images and of depth maps with the same names, as mmseg's `NYUDataset` lays NYUv2 out.

        data/nyu/images/train/bedroom_0001_00.jpg
        data/nyu/annotations/train/bedroom_0001_00.png          millimetres, 16 bits

        dict(
            type='DepthDataset',
            metainfo='CocoPanopticDataset',
            data_root='data/nyu/',
            data_prefix=dict(img_path='images/train', depth_map_path='annotations/train'),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadDepthMap', kind='metric', scale=0.001), ...],
        )

    `type='mmseg.NYUDataset'` serves in training as well, but takes the types of the scenes for classes, which visualisers,
    `NumClassCheckHook` and `ConcatDataset` compare with the classes that the model segments. Here there are none but those given.

    Args:
        metainfo: class names and palette, as for any data set; or the name of a registered data set whose own they are.
        data_prefix: `img_path` and `depth_map_path`, folders (with subfolders) under `data_root`.
        img_suffix, depth_map_suffix: how the files' names end.
        **kwargs: as mmengine's `BaseDataset`.

    Raises:
        ValueError: no such data set; no image in the folder; an image without a depth map.
    """

    def __init__(
        self,
        metainfo: dict | str | None = None,
        data_prefix: dict = dict(img_path='images', depth_map_path='annotations'),
        img_suffix: str = '.jpg',
        depth_map_suffix: str = '.png',
        **kwargs,
    ) -> None:
        self.img_suffix, self.depth_map_suffix = img_suffix, depth_map_suffix
        super().__init__(metainfo=_metainfo_of(metainfo) if isinstance(metainfo, str) else metainfo, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict an image, in the order of the paths: img_id (its number), img_path, depth_map_path."""
        folders = {key: Path(self.data_prefix[key]) for key in ('img_path', 'depth_map_path')}
        images = sorted(folders['img_path'].rglob(f'*{self.img_suffix}'))
        if not images:
            raise ValueError(f'{folders["img_path"]}: no image *{self.img_suffix}; correct data_root, data_prefix or img_suffix')
        names = [str(path.relative_to(folders['img_path'])).removesuffix(self.img_suffix) for path in images]
        depths = [folders['depth_map_path'] / (name + self.depth_map_suffix) for name in names]
        missing = [path for path in depths if not path.is_file()]
        if missing:
            raise ValueError(
                f'{missing[0]}: no such depth map, and {len(missing) - 1} others of {len(images)} are missing; '
                'correct data_prefix or depth_map_suffix, or move their images away'
            )
        paths = zip(images, depths, strict=True)
        return [dict(img_id=number, img_path=str(image), depth_map_path=str(depth)) for number, (image, depth) in enumerate(paths)]


def _metainfo_of(name: str) -> dict:
    with DATASETS.switch_scope_and_registry(None) as registry:
        found = registry.get(name)
    if found is None:
        raise ValueError(f'DepthDataset: no data set is called {name!r}; metainfo takes the name of a registered one, or a dict')
    return found.METAINFO
