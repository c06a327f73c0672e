"""Rectangles on frames of 40 x 40 pixels as truth and predictions, so that every figure can be derived by hand."""

import json

import numpy as np
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as coco_mask

SIZE = 40
CATEGORIES = {'disc': 10, 'star': 20, 'person': 30}


def square(box):
    """(H, W) uint8 of a box (x1, y1, x2, y2)."""
    mask = np.zeros((SIZE, SIZE), np.uint8, order='F')
    mask[box[1] : box[3], box[0] : box[2]] = 1
    return mask


def write_coco(path, truth):
    """A COCO file of `truth`: image id -> rows (category name, box) or (category name, box, iscrowd)."""
    annotations = []
    for image, rows in truth.items():
        for name, (x1, y1, x2, y2), *crowd in rows:
            rle = coco_mask.encode(square((x1, y1, x2, y2)))
            box, area = [x1, y1, x2 - x1, y2 - y1], (x2 - x1) * (y2 - y1)
            row = dict(id=len(annotations) + 1, image_id=image, category_id=CATEGORIES[name], bbox=box, area=area, iscrowd=sum(crowd))
            annotations.append({**row, 'segmentation': {**rle, 'counts': rle['counts'].decode()}})
    images = [dict(id=image, width=SIZE, height=SIZE, file_name=f'{image}.png') for image in truth]
    categories = [dict(id=number, name=name) for name, number in CATEGORIES.items()]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=categories)))
    return str(path)


def prediction(image, rows, **more):
    """The data sample of an image with predicted `rows`: (label, box, score)."""
    masks = np.stack([square(box) for _, box, _ in rows]) if rows else np.zeros((0, SIZE, SIZE))
    pred = InstanceData(
        bboxes=torch.tensor([box for _, box, _ in rows], dtype=torch.float32).reshape(-1, 4),
        labels=torch.tensor([label for label, _, _ in rows], dtype=torch.int64),
        scores=torch.tensor([score for _, _, score in rows], dtype=torch.float32),
        masks=torch.from_numpy(masks).bool(),
    )
    return dict(pred_instances=pred, img_id=image, ori_shape=(SIZE, SIZE), **more)


def true_instances(rows):
    """What mmdet's readers put into a data sample as `instances`: rows (label, box)."""
    return dict(instances=[dict(bbox=list(box), bbox_label=label, mask=coco_mask.encode(square(box))) for label, box in rows])


def evaluate(metric, samples, classes=('disc', 'star')):
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    return metric.evaluate(len(samples))
