"""The DCME paper's own tables, from their raw figures."""

import math

from mmext_instseg.evaluation import class_ap_table, detection_table, grid_class_table

TABLE_3 = """person 3394 1974 58.16
rider 543 230 42.36
car 4653 3847 82.68
truck 93 29 31.18
bus 98 44 44.90
train 23 10 43.48
motorcycle 149 41 27.52
bicycle 1165 399 34.25
total 10118 6574 64.97"""
TABLE_4 = """person 7.2 17.8
rider 4.2 12.9
car 24.5 37.9
truck 14.1 23.7
bus 30.1 47.1
train 25.6 42.7
motorcycle 3.8 12.4
bicycle 2.5 8.5
mean 14.0 25.4"""


def rows(text):
    return [line.split() for line in text.splitlines()]


def test_ap_of_each_class():
    metrics = {'mAP': 0.5, 'segm_mAP': 0.4}
    for name, ap, ap50 in rows(TABLE_4)[:-1]:
        metrics |= {f'AP_{name}': float(ap) / 100, f'AP50_{name}': float(ap50) / 100}
    assert class_ap_table(metrics) == [['Class', 'AP', 'AP50%'], *rows(TABLE_4)]


def test_a_class_without_instances_stays_out_of_the_mean():
    metrics = {'AP_car': 0.25, 'AP_train': math.nan, 'AP_bus': 0.75, 'AP50_car': 0.5, 'AP50_train': math.nan, 'AP50_bus': 1.0}
    assert class_ap_table(metrics)[1:] == [['car', '25.0', '50.0'], ['train', '-', '-'], ['bus', '75.0', '100.0'], ['mean', '50.0', '75.0']]
    nothing = {'AP_car': math.nan, 'AP50_car': math.nan}
    assert class_ap_table(nothing)[1:] == [['car', '-', '-'], ['mean', '-', '-']]


def test_classification_by_the_grid():
    metrics = {}
    for name, instances, correct, _ in rows(TABLE_3):
        ending = '' if name == 'total' else f'_{name}'
        metrics |= {
            f'accuracy{ending}': int(correct) / int(instances), f'correct{ending}': int(correct), f'instances{ending}': int(instances)
        }  # fmt: skip
    assert grid_class_table(metrics) == [['Class', 'Instances', 'Correct', 'Acc.%'], *rows(TABLE_3)]


def test_detections():
    metrics = {}
    for percent, found in ((25, 3821), (50, 3102), (75, 1886)):
        metrics |= {f'accuracy_{percent}': found / 10118, f'detections_{percent}': found}
    assert detection_table({**metrics, 'instances': 10118}) == [
        ['threshold(%)', 'detections', 'Acc(%)'],
        ['25', '3821', '37.76'],
        ['50', '3102', '30.66'],
        ['75', '1886', '18.64'],
        ['instances', '10118', ''],
    ]
