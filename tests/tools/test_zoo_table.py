"""tools/zoo_table.py on results of all three kinds and on mmdet's own metafiles."""

import json
from pathlib import Path

import mmdet
import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ZOO = Path(mmdet.__file__).parent / '.mim' / 'configs'


@pytest.fixture
def tested(tmp_path):
    """What tools/test.py leaves: the config, and a folder of the time with the JSON."""
    folder = tmp_path / 'work' / '20260101_000000'
    folder.mkdir(parents=True)
    (tmp_path / 'work' / 'mine.py').write_text('')
    (folder / '20260101_000000.json').write_text(json.dumps({'coco/segm_mAP': 0.4125, 'coco/segm_mAP_50': 0.6, 'time': 1.0}) + '\n')
    return folder / '20260101_000000.json'


def test_own_results_beside_the_published_ones(tool, tested):
    status, text = tool('zoo_table.py', tested, '--zoo', 'solov2_r50_fpn_1x_coco')
    assert status == 0, text
    models = yaml.safe_load((ZOO / 'solov2' / 'metafile.yml').read_text())['Models']
    (published,) = [model for model in models if model['Name'] == 'solov2_r50_fpn_1x_coco']
    figure = published['Results'][0]['Metrics']['mask AP']
    lines = text.splitlines()
    assert lines[2] == f'| mine | 41.2 |  |  | {tested} |'
    assert lines[3] == f'| solov2_r50_fpn_1x_coco | {figure:.1f} |  | COCO | published: configs/solov2/metafile.yml |'
    assert 'mmdet 3.3.0' in lines[-1] or 'mmdet ' in lines[-1]


def test_tasks_of_a_model_share_a_row(tool, tested):
    text = tool('zoo_table.py', tested, '--zoo', 'mask2former_r50_8xb2-lsj-50e_coco-panoptic', '--metrics', 'mask AP', 'box AP', 'PQ')[1]
    models = yaml.safe_load((ZOO / 'mask2former' / 'metafile.yml').read_text())['Models']
    (published,) = [model for model in models if model['Name'] == 'mask2former_r50_8xb2-lsj-50e_coco-panoptic']
    figures = {key: value for result in published['Results'] for key, value in result['Metrics'].items()}
    assert len(figures) == 3
    assert f'| {figures["mask AP"]:.1f} | {figures["box AP"]:.1f} | {figures["PQ"]:.1f} | COCO |' in text


def test_a_comparison_is_averaged_over_seeds(tool, tmp_path):
    header = 'config,seed,coco/segm_mAP,coco_panoptic/PQ\n'
    (tmp_path / 'runs.csv').write_text(f'{header}one,0,0.2,30\none,1,0.4,50\ntwo,0,0.1,\n')
    lines = tool('zoo_table.py', tmp_path / 'runs.csv', '--zoo')[1].splitlines()
    assert lines[2].startswith('| one | 30.0 | 40.0 | 2 runs |') and lines[3].startswith('| two | 10.0 |  | 1 runs |')
    assert 'published' not in ''.join(lines)


def test_several_configs_in_a_work_folder_name_nothing(tool, tested):
    work = tested.parents[1]
    (work / 'aaa.py').touch()
    assert f'| {work.name} | 41.2 |' in tool('zoo_table.py', tested, '--zoo')[1]


def test_our_metafiles(tool, tmp_path):
    status, _ = tool('zoo_table.py', ROOT / 'configs' / 'dcme' / 'metafile.yml', '--out', tmp_path / 'table.md')
    assert status == 0
    assert '| dcme_tiny_shapes | 61.3 |  | Shapes v1 standard, 100 held-out images |' in (tmp_path / 'table.md').read_text()


def test_bad_arguments(tool, tested, tmp_path):
    (tmp_path / 'log.json').write_text('{"loss": 1}\n')
    (tmp_path / 'other.csv').write_text('a,b\n1,2\n')
    for words, problem in (
        ((tested, '--zoo', 'no-such-model*'), 'no model of the zoo with results is called no-such-model*'),
        ((tmp_path / 'log.json',), 'log.json has none of coco/segm_mAP'),
        ((tmp_path / 'other.csv',), 'no column `config`'),
        ((tmp_path / 'none.json',), 'none.json'),
        ((tmp_path / 'results.pkl',), 'give a .json of test.py'),
        ((tested, '--metrics', 'PQ'), 'no result of yours has PQ; there are: mask AP'),
    ):
        status, _ = tool('zoo_table.py', *words)
        assert status.startswith('error: ') and problem in status
