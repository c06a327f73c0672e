"""Small LabelMe files, with the keys that each version writes."""

import base64
import io
import json

import cv2
import numpy as np
from PIL import Image

SQUARE = [[2, 1], [6, 1], [6, 5], [2, 5]]  # rows 1 to 4, columns 2 to 5


def shape(label, points, shape_type='polygon', group_id=None, **more):
    return {'label': label, 'points': points, 'group_id': group_id, 'shape_type': shape_type, 'flags': {}, **more}


def mask_shape(label, corner, mask, **more):
    """LabelMe 5.3's bitmap, whose points are the first and last pixel of its box."""
    x, y = corner
    png = cv2.imencode('.png', mask.astype(np.uint8) * 255)[1].tobytes()
    text = base64.b64encode(png).decode()
    return shape(label, [[x, y], [x + mask.shape[1] - 1, y + mask.shape[0] - 1]], 'mask', mask=text, **more)


def write_labelme(path, shapes, size=(8, 10), version='5.0.1', image='file', image_path=None, **keys):
    """One JSON and, with image='file', a PNG beside it; 'embedded': in imageData; 'none': nowhere.

    Version 3 has neither group_id nor the image's size, and may leave shape_type out.
    """
    picture = Image.fromarray(np.full((*size, 3), 90, np.uint8))
    path.parent.mkdir(parents=True, exist_ok=True)
    stream = io.BytesIO()
    picture.save(stream, 'png')
    if image == 'file':
        path.with_suffix('.png').write_bytes(stream.getvalue())
    data = {
        'version': version,
        'flags': {},
        'shapes': shapes,
        'imagePath': path.with_suffix('.png').name if image_path is None else image_path,
        'imageData': base64.b64encode(stream.getvalue()).decode() if image == 'embedded' else None,
        'imageHeight': size[0],
        'imageWidth': size[1],
    }
    if version.startswith('3'):
        data = {key: value for key, value in data.items() if key not in ('imageHeight', 'imageWidth')}
        data |= {'lineColor': [0, 255, 0, 128], 'fillColor': [255, 0, 0, 128]}
    path.write_text(json.dumps({**data, **keys}))
    return path
