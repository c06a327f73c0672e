"""AP of each class: by hand, against mmdet's own rounded figures, and on real annotations."""

import math
import pickle

import numpy as np
import pytest
import squares
import torch
from mmdet.evaluation.metrics import CocoMetric
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from mmext_instseg.registry import METRICS

NAMES = ('disc', 'star', 'person')
TRUTH = {
    1: [('disc', (0, 0, 10, 10)), ('star', (20, 20, 32, 30))],
    2: [('disc', (5, 5, 25, 25)), ('disc', (30, 30, 40, 40), 1)],
}


def classwise(ann_file=None, **kwargs):
    return METRICS.build(dict(type='ClasswiseCocoMetric', ann_file=ann_file, **{'metric': 'segm', **kwargs}))


def evaluate(metric, predicted, truth=None):
    more = truth or {image: {} for image in predicted}
    found = squares.evaluate(metric, [squares.prediction(image, rows, **more[image]) for image, rows in predicted.items()], NAMES)
    return {key.removeprefix('coco/'): value for key, value in found.items()}


@pytest.fixture
def ann_file(tmp_path):
    return squares.write_coco(tmp_path / 'instances.json', TRUTH)


PREDICTED = {1: [(0, (0, 0, 10, 10), 0.9), (1, (20, 20, 28, 30), 0.8)], 2: []}


def test_by_hand(ann_file):
    found = evaluate(classwise(ann_file), PREDICTED)
    # One of two discs: precision 1 up to recall 0.5, 51 of COCO's 101 points, at every threshold; the crowd is none.
    assert found['AP_disc'] == found['AP50_disc'] == pytest.approx(51 / 101)
    # The star's IoU is 80 / 120: enough for 0.50, 0.55, 0.60 and 0.65 of ten thresholds.
    assert (found['AP_star'], found['AP50_star']) == (pytest.approx(0.4), pytest.approx(1.0))
    assert math.isnan(found['AP_person']) and math.isnan(found['AP50_person'])
    assert found['segm_mAP'] == pytest.approx((51 / 101 + 0.4) / 2, abs=5e-4)
    assert found['segm_mAP_50'] == pytest.approx((51 / 101 + 1) / 2, abs=5e-4)


def test_without_predictions(ann_file):
    found = evaluate(classwise(ann_file), {1: [], 2: []})
    assert {key: value for key, value in found.items() if 'person' not in key} == dict(AP_disc=0, AP50_disc=0, AP_star=0, AP50_star=0)


def test_truth_from_the_data_samples(ann_file):
    plain = {image: [(NAMES.index(name), box) for name, box, *crowd in rows if not crowd] for image, rows in TRUTH.items()}
    found = evaluate(classwise(), PREDICTED, {image: squares.true_instances(rows) for image, rows in plain.items()})
    np.testing.assert_equal(found, evaluate(classwise(ann_file), PREDICTED))


def test_nothing_more_where_no_masks_are_evaluated(ann_file, tmp_path):
    assert all(key.startswith('bbox_mAP') for key in evaluate(classwise(ann_file, metric='bbox'), PREDICTED))
    written = classwise(ann_file, format_only=True, outfile_prefix=str(tmp_path / 'results'))
    assert evaluate(written, PREDICTED) == {}
    assert (tmp_path / 'results.segm.json').is_file()


def test_processes_share_nothing_but_their_results(ann_file):
    parts = []
    for image, rows in PREDICTED.items():
        metric = classwise(ann_file)
        metric.process({}, [squares.prediction(image, rows)])
        parts += pickle.loads(pickle.dumps(metric.results))
    main = classwise(ann_file)
    main.dataset_meta = dict(classes=NAMES)
    np.testing.assert_equal(dict(main.compute_metrics(parts)), evaluate(classwise(ann_file), PREDICTED))


# On real annotations


@pytest.fixture(scope='module')
def fruits(real_data):
    return real_data / 'fruits_nuts' / 'trainval.json'


def shifted(file, pixels):
    """Data samples that predict each annotation `pixels` to the right, some under another class, with random scores."""
    coco, generator = COCO(str(file)), np.random.default_rng(0)
    categories = coco.getCatIds()
    samples = []
    for image in coco.loadImgs(coco.getImgIds()):
        annotations = coco.loadAnns(coco.getAnnIds(image['id']))
        masks = [np.roll(coco.annToMask(one), pixels, axis=1) for one in annotations]
        labels = [categories.index(one['category_id']) for one in annotations]
        if pixels:
            labels = [label if generator.random() < 0.8 else 0 for label in labels]
        pred = dict(
            bboxes=torch.from_numpy(np.stack([coco_mask.toBbox(coco_mask.encode(np.asfortranarray(mask))) for mask in masks])),
            labels=torch.tensor(labels),
            scores=torch.from_numpy(generator.random(len(masks))),
            masks=torch.from_numpy(np.stack(masks)).bool(),
        )
        samples.append(dict(pred_instances=pred, img_id=image['id'], ori_shape=(image['height'], image['width'])))
    return samples, tuple(one['name'] for one in coco.loadCats(categories))


@pytest.mark.parametrize('pixels', [0, 12])
def test_real_masks(fruits, pixels):
    samples, names = shifted(fruits, pixels)
    found = squares.evaluate(classwise(str(fruits)), samples, names)
    rounded = squares.evaluate(CocoMetric(ann_file=str(fruits), metric='segm', classwise=True), samples, names)
    assert len(names) == 3
    for name in names:
        assert round(found[f'coco/AP_{name}'], 3) == rounded[f'coco/{name}_precision']
    for key, whole in (('AP', 'mAP'), ('AP50', 'mAP_50')):
        values = [found[f'coco/{key}_{name}'] for name in names]
        assert np.mean(values) == pytest.approx(found[f'coco/segm_{whole}'], abs=5.01e-4)
        assert values == pytest.approx([1.0] * 3) if pixels == 0 else all(0.05 < value < 0.95 for value in values)
    assert all(found[f'coco/AP_{name}'] <= found[f'coco/AP50_{name}'] for name in names)
