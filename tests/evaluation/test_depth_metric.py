"""RMSE and AbsRel by hand, through mmseg's metric and through ours against the files."""

import math

import cv2
import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.evaluator import Evaluator
from mmengine.structures import PixelData

from mmext_instseg.datasets import LoadDepthMap, PackDenseInputs
from mmext_instseg.models.data_preprocessors import DenseDataPreprocessor
from mmext_instseg.registry import METRICS, TRANSFORMS

SETTINGS = dict(depth_metrics=['rmse', 'abs_rel'], min_depth_eval=0.001, max_depth_eval=10.0)
# Millimetres: unknown, 1 m, 4 m / 10 m (the limit, left out), 20 m (beyond), 2 m
FIRST = np.array([[0, 1000, 4000], [10000, 20000, 2000]], np.uint16)
FIRST_PRED = [[9.0, 2.0, 3.0], [1.0, 1.0, 2.0]]  # errors at the three that count: 1, -1, 0
SECOND = np.array([[5000, 0]], np.uint16)
SECOND_PRED = [[2.0, 7.0]]
RMSE = math.sqrt(2 / 3), 3.0
ABS_REL = (1 / 1 + 1 / 4 + 0) / 3, 3 / 5


def predicted(pred: list, **metainfo) -> DetDataSample:
    sample = DetDataSample(metainfo=metainfo)
    sample.pred_depth_map = PixelData(data=torch.tensor([pred]))
    return sample


def stored(tmp_path, depth: np.ndarray, name: str = 'a') -> dict:
    """Metainfo of a sample whose depth lies in a file."""
    path = str(tmp_path / f'{name}.png')
    assert cv2.imwrite(path, depth)
    return dict(img_path=f'{name}.jpg', depth_kind='metric', depth_map_path=path, depth_scale=0.001)


def evaluate(kind: str, samples: list[DetDataSample], **settings) -> dict:
    evaluator = Evaluator(ConfigDict(type=kind, **{**SETTINGS, **settings}))
    for sample in samples:  # batches of one
        evaluator.process(data_samples=[sample], data_batch=None)
    return evaluator.evaluate(len(samples))


def test_mmsegs_metric_on_mmdets_samples_by_hand():
    samples = []
    for pred, truth in ((FIRST_PRED, FIRST), (SECOND_PRED, SECOND)):
        sample = predicted(pred, img_path='a.jpg')
        sample.gt_depth_map = PixelData(data=torch.from_numpy(truth[None] / 1000).float())
        samples.append(sample)
    expected = dict(rmse=sum(RMSE) / 2, abs_rel=sum(ABS_REL) / 2)
    assert evaluate('mmseg.DepthMetric', samples) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(KeyError, match='gt_depth_map'):  # what ours is for
        evaluate('mmseg.DepthMetric', [*samples, predicted(FIRST_PRED)])


def test_our_metric_by_hand_with_samples_that_do_not_count(tmp_path):
    samples = [
        predicted(FIRST_PRED, **stored(tmp_path, FIRST)),
        predicted(FIRST_PRED, img_path='no depth'),
        predicted(SECOND_PRED, **stored(tmp_path, SECOND, 'b')),
        predicted(SECOND_PRED, **stored(tmp_path, SECOND * 3, 'too far')),
        DetDataSample(),
    ]
    found = evaluate('DepthMapMetric', samples)
    assert found == pytest.approx({'depth/rmse': sum(RMSE) / 2, 'depth/abs_rel': sum(ABS_REL) / 2}, rel=1e-5)
    assert evaluate('DepthMapMetric', samples[:1]) == pytest.approx({'depth/rmse': RMSE[0], 'depth/abs_rel': ABS_REL[0]}, rel=1e-5)


def test_every_sample_leaves_one_result(tmp_path):
    """Processes send as many results as they had samples, or mmengine cuts the longer lists."""
    metric = METRICS.build(dict(type='DepthMapMetric', **SETTINGS))
    metric.process({}, [predicted(FIRST_PRED, **stored(tmp_path, FIRST)).to_dict(), {}, {}])
    assert len(metric.results) == 3 and metric.results[1:] == [None, None]


def test_the_truth_is_the_file_whatever_the_pipeline_did(tmp_path):
    """The image is resized, flipped back and padded; what counts is the file at the original size."""
    meta = stored(tmp_path, FIRST)
    results = dict(img=np.zeros((2, 3, 3), np.uint8), ori_shape=(2, 3), img_path='a.jpg', depth_map_path=meta['depth_map_path'])
    results = LoadDepthMap('metric', scale=0.001)(results)
    for step in (dict(type='AlignedResize', scale=(8, 5), keep_ratio=False), dict(type='DenseRandomFlip', prob=0.0)):
        results = TRANSFORMS.build(step)(results)
    data = PackDenseInputs()(results)
    data = DenseDataPreprocessor(pad_size_divisor=16)(dict(inputs=[data['inputs']], data_samples=[data['data_samples']]))
    (sample,) = data['data_samples']
    assert sample.gt_depth_map.shape == (16, 16)
    sample.pred_depth_map = PixelData(data=torch.tensor([FIRST_PRED]))
    assert evaluate('DepthMapMetric', [sample])['depth/rmse'] == pytest.approx(RMSE[0], rel=1e-5)


def test_real_depth_against_itself_and_ten_percent_more(real_data):
    path = str(real_data / 'depth_pairs' / 'TUM_depth.png')
    truth = torch.from_numpy(cv2.imread(path, cv2.IMREAD_UNCHANGED) / 5000).float()
    meta = dict(depth_kind='metric', depth_map_path=path, depth_scale=1 / 5000)
    perfect, more = (predicted((truth * factor).tolist(), **meta) for factor in (1.0, 1.1))
    assert evaluate('DepthMapMetric', [perfect]) == pytest.approx({'depth/rmse': 0, 'depth/abs_rel': 0}, abs=1e-6)
    found = evaluate('DepthMapMetric', [more])
    known = truth[(truth > 0.001) & (truth < 10)]
    assert found['depth/abs_rel'] == pytest.approx(0.1, rel=1e-4)
    assert found['depth/rmse'] == pytest.approx(0.1 * float(known.square().mean().sqrt()), rel=1e-4)


@pytest.mark.parametrize(
    ('change', 'pred', 'message'),
    [
        (dict(depth_kind='relative'), FIRST_PRED, r'a\.png: DepthMapMetric needs metric depth, this is relative'),
        (dict(), SECOND_PRED, r'a\.png: depth of \(2, 3\) pixels, predicted are \(1, 2\)'),
        (dict(), None, r'a\.png: the model predicted no depth; give it a depth head'),
        (dict(depth_map_path='gone.png'), FIRST_PRED, r'gone\.png: no such depth map'),
        (dict(depth_scale=1.0), FIRST_PRED, r'none of 1 images has depth between 0\.001 and 10\.0'),
    ],
)
def test_what_can_not_be_compared_is_named(tmp_path, change, pred, message):
    meta = {**stored(tmp_path, FIRST), **change}
    sample = DetDataSample(metainfo=meta) if pred is None else predicted(pred, **meta)
    with pytest.raises(ValueError, match=message):
        evaluate('DepthMapMetric', [sample])


def test_format_only_needs_no_truth(tmp_path):
    sample = predicted(FIRST_PRED, img_path='photos/a.jpg')
    found = evaluate('DepthMapMetric', [sample], format_only=True, output_dir=str(tmp_path / 'out'), depth_scale_factor=1000.0)
    written = cv2.imread(str(tmp_path / 'out' / 'a.png'), cv2.IMREAD_UNCHANGED)
    assert found == {} and written.tolist() == [[9000, 2000, 3000], [1000, 1000, 2000]]
