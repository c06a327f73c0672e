"""tools/oracle_table.py on an untrained model, whose rows with the truth are known all the same."""

import csv
import json
import sys

import pytest
import torch
from mmdet.datasets import CityscapesDataset
from mmengine.config import Config

from mmext_instseg.datasets.cityscapes.instances import convert_split
from mmext_instseg.datasets.shapes import THINGS, make_cityscapes
from mmext_instseg.models.detectors import BottomUpSegmentor
from mmext_instseg.registry import MODELS

ROWS = ['model', 'instance oracle', 'class oracle', 'true semantics', 'true vectors', 'both (ceiling)', 'ground truth']
AP, GRID, FOUND = ['Class', 'AP', 'AP50%'], ['Class', 'Instances', 'Correct', 'Acc.%'], ['threshold(%)', 'detections', 'Acc(%)']
HEADERS = dict(table_1_left=AP, table_1_right=AP, table_2=AP, table_3=GRID, table_4=AP, table_5=FOUND)
CITYSCAPES = """
_base_ = '{config}'
evaluator = dict(type='CityScapesMetric', seg_prefix='{root}/gtFine/val', outfile_prefix='{root}/unused')
test_dataloader = dict(dataset=dict(
    _delete_=True, type='CityscapesDataset', test_mode=True, data_root='{root}/', ann_file='val.json',
    data_prefix=dict(img='leftImg8bit/val/'), pipeline={{{{_base_.test_pipeline}}}}))
model = dict(heads=dict(semantic=dict(num_things_classes=8)))
test_evaluator = {evaluators}
"""


def read(path):
    with path.open() as stream:
        return list(csv.reader(stream))


def tables(folder):
    """The paper's tables by file name, and the first table's rows."""
    with (folder / 'oracles.csv').open() as stream:
        rows = {row['row']: row for row in csv.DictReader(stream)}
    return {path.stem: read(path) for path in sorted(folder.glob('table_*.csv'))}, rows


@pytest.fixture(scope='module')
def cityscapes(tmp_path_factory):
    """Three images of Shapes as Cityscapes' val split, with their COCO file."""
    root = make_cityscapes(tmp_path_factory.mktemp('cityscapes'), 'val', size=(64, 128), num_images=3)
    (root / 'val.json').write_text(json.dumps(convert_split(root, 'val')))
    return root


@pytest.fixture
def city_config(untrained, cityscapes, tmp_path):
    """Writes a config on the Cityscapes folder, with the evaluators given, and untrained weights of its model; returns both."""

    def write(evaluators):
        config, weights = tmp_path / 'city.py', tmp_path / 'city.pth'
        config.write_text(CITYSCAPES.format(config=untrained[0], root=cityscapes, evaluators=evaluators))
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
        torch.save({'state_dict': model.state_dict(), 'meta': {'dataset_meta': CityscapesDataset.METAINFO}}, weights)
        return config, weights

    return write


def test_rows_and_the_papers_tables(tool, untrained, tmp_path, monkeypatch):
    config, weights, images = untrained
    passes, extract_feat = [], BottomUpSegmentor.extract_feat
    monkeypatch.setattr(BottomUpSegmentor, 'extract_feat', lambda self, inputs: passes.append(len(inputs)) or extract_feat(self, inputs))
    status, text = tool('oracle_table.py', config, weights, '--out', tmp_path / 'new', '--device', 'cpu')
    assert status == 0, text
    assert passes == [2, 1], 'one pass through the network a batch'
    assert 'Average Precision' not in text
    assert 'true vectors: the instance head' in text and 'Table III: classification of the true instances' in text
    papers, rows = tables(tmp_path / 'new')
    check_rows(rows)
    check_papers(papers, rows, json.loads((images.parent / 'instances.json').read_text()))
    lines = (tmp_path / 'new' / 'oracles.md').read_text().splitlines()
    assert lines[0] == '|  | coco/segm_mAP | coco/segm_mAP_50 | agnostic/segm_mAP | agnostic/segm_mAP_50 |'
    assert lines[7].startswith('| both (ceiling) | ')
    assert lines[-1].startswith('- ground truth: the true instances themselves')
    markdown = (tmp_path / 'new' / 'tables.md').read_text()
    assert '## Table V: detection accuracy\n\n| threshold(%) | detections | Acc(%) |\n| :-- | --: | --: |\n| 25 | ' in markdown
    assert set(map(str, (tmp_path / 'new').iterdir())) == set(text.splitlines()[-9:])


def check_rows(rows):
    assert list(rows) == ROWS
    ap = {name: float(row['coco/segm_mAP'] or 0) for name, row in rows.items()}
    assert ap['ground truth'] == 1.0 and ap['both (ceiling)'] > 0.9
    for name in ('model', 'instance oracle', 'true vectors'):  # an untrained class is a guess
        assert ap[name] < 0.5
    assert ap['true semantics'] < ap['both (ceiling)']
    for name in ('ground truth', 'instance oracle'):  # the same masks
        assert float(rows[name]['agnostic/segm_mAP']) == float(rows[name]['detection/accuracy_75']) == 1.0
    assert rows['class oracle']['detection/detections_25'] == rows['model']['detection/detections_25']
    assert [name for name, row in rows.items() if row['grid_class/accuracy']] == ['instance oracle']


def check_papers(papers, rows, truth):
    instances = [one for one in truth['annotations'] if not one['iscrowd']]
    assert {name: table[0] for name, table in papers.items()} == HEADERS
    for name, table in papers.items():
        if HEADERS[name] is AP:
            assert [row[0] for row in table[1:]] == [*THINGS, 'mean']
    assert papers['table_1_right'][-1] == ['mean', '100.0', '100.0']
    assert float(papers['table_2'][-1][1]) == pytest.approx(100 * float(rows['instance oracle']['coco/segm_mAP']), abs=0.11)
    assert float(papers['table_4'][-1][1]) == pytest.approx(100 * float(rows['class oracle']['coco/segm_mAP'] or 0), abs=0.11)
    *classes, total = papers['table_3'][1:]
    assert [row[0] for row in classes] == list(THINGS)
    assert total[:3] == ['total', str(len(instances)), str(sum(int(row[2]) for row in classes))]
    counts = {one['id']: sum(row['category_id'] == one['id'] for row in instances) for one in truth['categories']}
    assert [int(row[1]) for row in classes] == list(counts.values())
    assert [row[0] for row in papers['table_5'][1:]] == ['25', '50', '75', 'instances']
    assert papers['table_5'][-1] == ['instances', str(len(instances)), '']


def test_cityscapes_tables_are_cityscapes_own(tool, untrained, cityscapes, city_config, tmp_path):
    config, weights = city_config(f"[dict(type='CocoMetric', ann_file='{cityscapes}/val.json', metric='segm'), evaluator]")
    status, text = tool('oracle_table.py', config, weights, '--out', tmp_path / 'new', '--device', 'cpu')
    assert status == 0, text
    papers, rows = tables(tmp_path / 'new')
    assert {name: table[0] for name, table in papers.items()} == HEADERS
    assert 'Table II: instance oracle (cityscapes)' in text
    assert float(rows['ground truth']['cityscapes/mAP']) == float(rows['ground truth']['coco/segm_mAP']) == 1.0
    names = [row[0] for row in papers['table_1_right'][1:]]
    assert names[:2] == ['person', 'rider'] and names[-1] == 'mean' and len(names) == 9
    right = {name: ap for name, ap, _ in papers['table_1_right'][1:]}
    assert right['mean'] == '100.0' and right['train'] == '-', 'Shapes have no trains'
    assert not (cityscapes / 'unused').exists()


def test_cityscapes_metric_alone(tool, city_config, tmp_path):
    config, weights = city_config('[evaluator]')
    status, text = tool('oracle_table.py', config, weights, '--out', tmp_path / 'new', '--device', 'cpu')
    assert status == 0, text
    papers, rows = tables(tmp_path / 'new')
    assert list(papers) == ['table_1_left', 'table_1_right', 'table_2', 'table_3', 'table_4']
    assert float(rows['ground truth']['cityscapes/AP@50']) == 1.0
    assert 'Table V' not in text


def test_without_cityscapesscripts(tool, city_config, tmp_path, monkeypatch):
    config, weights = city_config('[evaluator]')
    monkeypatch.setitem(sys.modules, 'cityscapesscripts', None)
    status, _ = tool('oracle_table.py', config, weights, '--device', 'cpu')
    assert status.startswith('error: ') and 'pip install cityscapesscripts' in status


def test_metrics_that_only_write_files(tool, city_config, tmp_path):
    config, weights = city_config("[dict(type='CityScapesMetric', format_only=True, outfile_prefix='unused')]")
    status, _ = tool('oracle_table.py', config, weights, '--device', 'cpu')
    assert 'test_evaluator has format_only=True and computes nothing' in status


def test_without_annotations(tool, untrained, tmp_path):
    config, weights, _ = untrained
    blind = tmp_path / 'blind.py'
    pipeline = "[dict(type='LoadImageFromFile'), dict(type='PackDenseInputs')]"
    blind.write_text(f"_base_ = '{config}'\ntest_dataloader = dict(dataset=dict(pipeline={pipeline}))\n")
    status, _ = tool('oracle_table.py', blind, weights, '--device', 'cpu')
    assert 'load annotations and GenerateInstanceMap in the test pipeline' in status


def test_help_has_an_example(tool):
    status, text = tool('oracle_table.py', '--help')
    assert status == 0
    assert 'python tools/oracle_table.py configs/dcme/dcme_tiny_shapes.py' in text
