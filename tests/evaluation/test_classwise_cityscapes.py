"""AP of each class on gtFine folders: by hand, and against cityscapesscripts' own evaluation."""

import copy
import math
import sys

import cityscapesscripts.evaluation.evalInstanceLevelSemanticLabeling as scripts
import cv2
import numpy as np
import pytest
import torch
from mmdet.evaluation.metrics import CityScapesMetric

from mmext_instseg.datasets.shapes import make_cityscapes
from mmext_instseg.registry import METRICS

CLASSES = ('person', 'rider', 'car', 'truck', 'bus', 'train', 'motorcycle', 'bicycle')
IDS = {24: 0, 25: 1, 26: 2, 27: 3, 28: 4, 31: 5, 32: 6, 33: 7}


def classwise(root, split='val', **kwargs):
    return METRICS.build(dict(type='ClasswiseCityScapesMetric', seg_prefix=f'{root}/gtFine/{split}', **{'outfile_prefix': None, **kwargs}))


def evaluate(metric, samples):
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    return {key.removeprefix('cityscapes/'): value for key, value in metric.evaluate(len(samples)).items()}


def sample(image, labels, masks, scores):
    masks = torch.from_numpy(np.stack(masks)) if len(masks) else torch.zeros(0, 1, 1)
    pred = dict(labels=torch.tensor(labels, dtype=torch.int64), masks=masks, scores=torch.tensor(scores))
    return dict(img_path=str(image), pred_instances=pred)


@pytest.fixture
def town(tmp_path):
    """The image of a gtFine folder with two cars and a person on it, and their masks."""
    image = tmp_path / 'leftImg8bit' / 'val' / 'town' / 'town_000000_000000_leftImg8bit.png'
    truth = tmp_path / 'gtFine' / 'val' / 'town' / 'town_000000_000000_gtFine_instanceIds.png'
    truth.parent.mkdir(parents=True)
    ids = np.full((64, 64), 7, np.uint16)  # road
    ids[4:20, 4:20], ids[30:50, 30:60], ids[40:60, 2:12] = 26000, 26001, 24000
    cv2.imwrite(str(truth), ids)
    return image, {value: ids == value for value in (26000, 26001, 24000)}


def test_by_hand(tmp_path, town):
    image, masks = town
    narrow = masks[24000].copy()
    narrow[:, 9:] = False  # 7 of 10 columns: above 0.50, 0.55, 0.60, 0.65 of ten thresholds
    found = evaluate(classwise(tmp_path), [sample(image, [2, 0], [masks[26000], narrow], [0.9, 0.8])])
    assert (found['AP_car'], found['AP50_car']) == (pytest.approx(0.5), pytest.approx(0.5))
    assert (found['AP_person'], found['AP50_person']) == (pytest.approx(0.4), pytest.approx(1.0))
    assert all(math.isnan(found[f'{key}_{name}']) for key in ('AP', 'AP50') for name in CLASSES if name not in ('car', 'person'))
    assert (found['mAP'], found['AP@50']) == (pytest.approx(0.45), pytest.approx(0.75))


def test_without_predictions(tmp_path, town):
    found = evaluate(classwise(tmp_path), [sample(town[0], [], [], [])])
    assert found['mAP'] == found['AP_car'] == found['AP50_person'] == 0
    assert math.isnan(found['AP_train'])


def test_files_for_the_test_server_alone(tmp_path, town):
    image, masks = town
    metric = classwise(tmp_path, format_only=True, outfile_prefix=str(tmp_path / 'out'))
    assert evaluate(metric, [sample(image, [2], [masks[26000]], [0.5])]) == {}
    assert (tmp_path / 'out' / 'results' / 'town_000000_000000_leftImg8bit_pred.txt').read_text().split()[1:] == ['26', '0.5']


def test_without_cityscapesscripts(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'cityscapesscripts', None)
    with pytest.raises(ImportError, match=r"pip install cityscapesscripts, a part of this package's extra 'openmmlab'"):
        classwise(tmp_path)


# Against cityscapesscripts


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """A gtFine folder of Shapes, and every true instance as a prediction: moved a little, some named wrongly, with random scores."""
    root = make_cityscapes(tmp_path_factory.mktemp('shapes'), 'val', num_images=4)
    generator, samples = np.random.default_rng(0), []
    for truth in sorted(root.glob('gtFine/val/*/*_instanceIds.png')):
        ids = cv2.imread(str(truth), cv2.IMREAD_UNCHANGED)
        values = [value for value in np.unique(ids).tolist() if value >= 1000]
        labels = [IDS[value // 1000] if generator.random() < 0.8 else 0 for value in values]
        masks = [np.roll(ids == value, generator.integers(4), axis=1) for value in values]
        image = str(truth).replace('gtFine_instanceIds', 'leftImg8bit').replace('gtFine', 'leftImg8bit')
        samples.append(sample(image, labels, masks, generator.random(len(values))))
    return root, samples


def official(metric):
    """cityscapesscripts' own `averages` for the files that a metric wrote."""
    args = copy.copy(scripts.args)
    args.JSONOutput, args.quiet, args.gtInstancesFile = False, True, f'{metric.outfile_prefix}/official.json'
    args.predictionPath = metric.outfile_prefix
    truths, predictions = zip(*((truth['file_name'], found['pred_txt']) for truth, found in metric.results), strict=True)
    return scripts.evaluateImgLists(list(predictions), list(truths), args)['averages']


def test_cityscapesscripts_figures(shapes, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where cityscapesscripts leaves a matches.json
    root, samples = shapes
    metric = classwise(root)
    metric.dataset_meta = dict(classes=CLASSES)
    metric.process({}, samples)
    expected = official(metric)
    found = {key.removeprefix('cityscapes/'): value for key, value in metric.evaluate(len(samples)).items()}
    assert (found['mAP'], found['AP@50']) == (expected['allAp'], expected['allAp50%'])
    assert set(expected['classes']) == set(CLASSES)
    for name, values in expected['classes'].items():
        np.testing.assert_equal((found[f'AP_{name}'], found[f'AP50_{name}']), (values['ap'], values['ap50%']))
    known = [found[f'AP_{name}'] for name in CLASSES[:5]]
    assert np.mean(known) == pytest.approx(found['mAP'])
    assert min(known) > 0 and max(known) < 0.95 and len(set(known)) == 5
    theirs = evaluate(CityScapesMetric(seg_prefix=f'{root}/gtFine/val', outfile_prefix=str(tmp_path)), samples)
    assert theirs == {key: found[key] for key in ('mAP', 'AP@50')}
