"""AML-SOLOv2 by onnxruntime and NumPy: each cell of a grid names a class and the kernel that makes its object's mask.

Shapes: (h, w) size of the mask features, D channels, C classes, N cells of all levels, n candidates.
"""

import numpy as np
from _common import Export, main, result_of
from _maps import bilinear, matrix_nms
from scipy.ndimage import maximum_filter
from scipy.special import expit


def segment(export: Export, image: np.ndarray) -> dict[str, np.ndarray]:
    """Instances of an image (H, W, 3) uint8 BGR, as `AMLSOLOV2Head.predict_by_feat`; the best first, masks may overlap."""
    head, test = export.settings['mask_head'], export.settings['test_cfg']
    inputs, shown = export.prepare(image)
    *levels, features = (value[0] for value in export.run('network', inputs).values())
    half = len(levels) // 2
    kernels = np.concatenate([level.reshape(len(level), -1).T for level in levels[:half]])
    classes = np.concatenate([point_nms(expit(level)).reshape(len(level), -1).T for level in levels[half:]])

    # The best pairs of cell and class, and their masks: one matrix product, the kernels' 1x1 convolution
    cells, labels = np.nonzero(classes > test['score_thr'])
    order = np.argsort(-classes[cells, labels], kind='stable')
    order = order[: test['nms_pre']] if test['nms_pre'] > 0 else order
    cells, labels = cells[order], labels[order]
    scores = classes[cells, labels]
    probability = expit(kernels[cells] @ unfolded(features, head['dynamic_conv_size']))
    masks = probability > test['mask_thr']

    # Masks larger than their cell's stride; scored by their mean probability as well
    areas = masks.sum(axis=1)
    strides = np.repeat(head['strides'], np.square(head['num_grids']))
    large = areas > strides[cells]
    probability, masks, labels, areas = probability[large], masks[large].astype(np.float32), labels[large], areas[large]
    scores = scores[large] * (probability * masks).sum(axis=1) / areas

    # Matrix NMS between masks of a class
    shared = masks @ masks.T
    iou = shared / (areas[:, None] + areas - shared).clip(min=1) * (labels[:, None] == labels)
    scores = (scores * matrix_nms(iou, scores, test['kernel'], test['sigma'])).astype(np.float32)
    order = np.argsort(-scores, kind='stable')
    order = order[scores[order] >= test['filter_thr']] if test['filter_thr'] > 0 else order
    order = order[: test['max_per_img']] if test['max_per_img'] > 0 else order

    # To the size of the input, without its padding, then to that of the image
    stride = head['mask_feature_head']['mask_stride']
    full = [side * stride for side in features.shape[1:]]
    found = np.empty((len(order), *image.shape[:2]), bool)
    for mask, row in zip(found, order, strict=True):
        enlarged = bilinear(probability[row].reshape(features.shape[1:]), full)[: shown[0], : shown[1]]
        mask[:] = bilinear(enlarged, image.shape[:2]) > test['mask_thr']
    seen = found.any(axis=(1, 2))  # not all in the padding
    return result_of(found[seen], labels[order][seen], scores[order][seen])


def point_nms(scores: np.ndarray) -> np.ndarray:
    """Scores (C, g, g) that are the maximum of themselves and their neighbours above and to the left; 0 elsewhere."""
    return scores * (scores == maximum_filter(scores, (1, 2, 2), mode='constant', cval=-1))


def unfolded(features: np.ndarray, size: int) -> np.ndarray:
    """(D, h, w) -> (D * size^2, h * w), what a kernel of size x size sees at each pixel."""
    pad = size // 2
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(features, ((0, 0), (pad, pad), (pad, pad))), (size, size), (1, 2))
    return windows.transpose(0, 3, 4, 1, 2).reshape(len(features) * size**2, -1)


if __name__ == '__main__':
    main('aml_solov2.py', __doc__, segment)
