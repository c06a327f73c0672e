"""LabelMe folders as an mmdet data set."""

from collections.abc import Sequence

from mmdet.datasets import BaseDetDataset

from ...registry import DATASETS
from .files import Frame, read_frames
from .labels import IGNORE, check_classes
from .splits import read_names


@DATASETS.register_module()
class LabelMeDataset(BaseDetDataset):
    """A folder of LabelMe JSON, read as it is, without conversion.

        dict(
            type='LabelMeDataset',
            data_root='data/buildings/',
            ann_file='splits/train.txt',
            metainfo=dict(classes=('building',)),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations', with_bbox=True, with_mask=True), ...],
        )

    Polygons, rectangles, circles and bitmaps of one label and one `group_id` are one object; points and lines are left out. Objects may
    overlap; `GenerateInstanceMap(overlap=...)` decides. A region labelled '__ignore__' is ignored, for every class, as a crowd is.

    Images may be embedded. Points are where LabelMe shows the image, after EXIF rotation, which OpenCV applies too.

    `img_id` is a hash of the file's name, the same as in the files of `tools/labelme.py convert`, which metrics take as `ann_file`;
    without, `CocoMetric` finds the truth in the sample if 'instances' is among the packing transform's `meta_keys`.

    Args:
        data_root: folder of all.
        ann_file: list of the images that belong to this split: their names below the folder, a line each, or a JSON list. Empty: all.
        data_prefix: `json`, folder of the LabelMe files under `data_root`; `img`, of the images, if they are neither where `imagePath`
            says nor beside their JSON.
        skip_labels: labels to leave out.
        **kwargs: as `BaseDetDataset`; `metainfo['classes']` is needed, `filter_cfg` as in `CocoDataset`.

    Raises:
        ValueError: no classes; a label that is none of them; and as `read_frames` and `read_names`.
    """

    def __init__(
        self,
        data_root: str = '',
        ann_file: str = '',
        data_prefix: dict = dict(json=''),
        skip_labels: Sequence[str] = (),
        **kwargs,
    ) -> None:
        self.skip_labels = tuple(skip_labels)
        super().__init__(data_root=data_root, ann_file=ann_file, data_prefix=data_prefix, **kwargs)

    def load_data_list(self) -> list[dict]:
        """One dict an image: img_id, img_path, height, width and `instances` (bbox xyxy of the mask, bbox_label, ignore_flag, mask)."""
        names = read_names(self.ann_file) if self.ann_file else None
        frames = read_frames(self.data_prefix.get('json', ''), names, self.data_prefix.get('img'))
        if not self.metainfo.get('classes'):
            raise ValueError(f'LabelMeDataset: no classes; the labels there are: metainfo=dict(classes={check_classes(frames)!r})')
        classes = check_classes(frames, self.metainfo['classes'], self.skip_labels)
        label_of = {name: label for label, name in enumerate(classes)}
        return [self._data_info(frame, label_of) for frame in frames]

    def _data_info(self, frame: Frame, label_of: dict[str, int]) -> dict:
        instances = []
        for one in frame.objects:
            ignored = one.label == IGNORE
            for label in label_of.values() if ignored else [label_of[one.label]] if one.label in label_of else []:
                instances.append({'bbox': list(one.bbox), 'bbox_label': label, 'ignore_flag': int(ignored), 'mask': one.segmentation})
        height, width = frame.shape
        info = {'img_id': frame.id, 'img_path': frame.image, 'height': height, 'width': width, 'instances': instances}
        if self.return_classes:
            info.update(text=self.metainfo['classes'], caption_prompt=self.caption_prompt, custom_entities=True)
        return info

    def filter_data(self) -> list[dict]:
        """Leaves out, in training, images without an object (`filter_empty_gt`) or smaller than `min_size`, as `filter_cfg` says."""
        if self.test_mode or not self.filter_cfg:
            return self.data_list
        empty, size = self.filter_cfg.get('filter_empty_gt', False), self.filter_cfg.get('min_size', 0)
        return [
            info
            for info in self.data_list
            if min(info['height'], info['width']) >= size and not (empty and all(one['ignore_flag'] for one in info['instances']))
        ]
