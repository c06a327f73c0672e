"""What the tests of phrase data sets share: image sizes, the pipeline, files."""

import json

import cv2
import numpy as np

HEIGHT, WIDTH = 60, 80
MAPS = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
    dict(type='GenerateInstanceMap'),
    dict(type='PackDenseInputs', meta_keys=('img_id', 'ori_shape', 'img_shape', 'text', 'instances')),
]


def box_polygon(x, y, w, h):
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def write_json(path, data):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data))
    return path


def write_image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
