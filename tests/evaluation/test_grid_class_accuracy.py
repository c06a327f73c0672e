"""The instance oracle's results made by hand: the true instances with chosen labels."""

import math
import pickle

import pytest
import torch
from mmdet.structures import DetDataSample

from mmext_instseg.registry import METRICS
from mmext_instseg.structures import InstanceMap, to_pred_instances

CLASSES = ('disc', 'star', 'person')


def sample(labels, named, vanished=(), padded=(16, 20), shape=(12, 16), ori_shape=(24, 32)):
    """An image whose true instances, columns of two pixels, have `labels` and are called `named`; those in `vanished` have no pixel."""
    ids = torch.zeros(shape, dtype=torch.int64)
    for k in range(len(labels)):
        if k not in vanished:
            ids[2:9, 2 * k : 2 * k + 2] = k + 1
    truth = InstanceMap.from_ids(ids, torch.tensor(labels, dtype=torch.int64))
    made = DetDataSample(metainfo=dict(img_shape=shape, ori_shape=ori_shape, img_path='town.png'))
    made.gt_instance_map = truth.pad(padded)
    found = truth.resize(ori_shape)
    made.pred_instances = to_pred_instances(InstanceMap.from_ids(found.ids, torch.tensor(named, dtype=torch.int64)))
    return made.to_dict()


def metric():
    made = METRICS.build(dict(type='GridClassAccuracy'))
    made.dataset_meta = dict(classes=CLASSES)
    return made


def evaluate(samples):
    made = metric()
    made.process({}, samples)
    return {key.removeprefix('grid_class/'): value for key, value in made.evaluate(len(samples)).items()}


SAMPLES = [sample([0, 0, 1], [0, 1, 1]), sample([0], [0]), sample([], [])]


def test_by_hand():
    found = evaluate(SAMPLES)
    assert math.isnan(found.pop('accuracy_person'))
    assert found == dict(
        instances_disc=3, correct_disc=2, accuracy_disc=2 / 3,
        instances_star=1, correct_star=1, accuracy_star=1.0,
        instances_person=0, correct_person=0,
        instances=4, correct=3, accuracy=0.75,
    )  # fmt: skip


def test_a_row_without_pixels_counts_as_wrong():
    found = evaluate([sample([0, 1, 0], [0, 1, 0], vanished=[2])])
    assert (found['instances'], found['correct'], found['correct_disc']) == (3, 2, 1)


def test_without_any_instance_there_is_no_accuracy():
    found = evaluate([sample([], [])])
    assert found['instances'] == 0 and math.isnan(found['accuracy'])


def test_processes_share_nothing_but_their_results():
    parts = []
    for chosen in (SAMPLES[:1], SAMPLES[1:]):
        made = metric()
        made.process({}, chosen)
        parts += pickle.loads(pickle.dumps(made.results))
    whole, alone = metric().compute_metrics(parts), evaluate(SAMPLES)
    assert {key: value for key, value in whole.items() if key != 'accuracy_person'} == {
        key: value for key, value in alone.items() if key != 'accuracy_person'
    }


@pytest.mark.parametrize('change', ['other instances', 'fewer', 'no truth'])
def test_other_predictions_are_refused(change):
    made = sample([0, 1], [0, 1])
    if change == 'other instances':
        made['pred_instances']['bboxes'] += 1
    elif change == 'fewer':
        made['pred_instances'] = sample([0], [0])['pred_instances']
    else:
        del made['gt_instance_map']
    with pytest.raises(ValueError, match=r"town\.png: GridClassAccuracy needs the true instances .* test_cfg\.oracle='instance'"):
        metric().process({}, [made])
