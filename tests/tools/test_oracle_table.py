"""tools/oracle_table.py on an untrained model, whose rows with the truth are known all the same."""

import csv


def test_rows(tool, untrained, tmp_path):
    config, weights, _ = untrained
    status, text = tool('oracle_table.py', config, weights, '--out', tmp_path / 'new', '--device', 'cpu')
    assert status == 0, text
    assert 'Average Precision' not in text
    assert 'true vectors: the instance head' in text
    with (tmp_path / 'new' / 'oracles.csv').open() as stream:
        rows = {row['row']: row for row in csv.DictReader(stream)}
    assert list(rows) == ['model', 'true semantics', 'true vectors', 'both (ceiling)']
    ceiling = rows['both (ceiling)']
    assert float(ceiling['coco/segm_mAP']) > 0.9
    assert float(ceiling['agnostic/segm_mAP']) > 0.9
    for name in ('model', 'true vectors'):  # an untrained class is a guess
        assert float(rows[name]['coco/segm_mAP'] or 0) < 0.5
    assert float(rows['true semantics']['coco/segm_mAP']) < float(ceiling['coco/segm_mAP'])
    lines = (tmp_path / 'new' / 'oracles.md').read_text().splitlines()
    assert lines[0] == '|  | coco/segm_mAP | coco/segm_mAP_50 | agnostic/segm_mAP | agnostic/segm_mAP_50 |'
    assert lines[5].startswith('| both (ceiling) | ')
    assert lines[-1].startswith('- both (ceiling): nothing predicted')


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
