import json
import re

import pytest


@pytest.fixture
def annotations(tmp_path):
    path = tmp_path / 'instances.json'
    box = [[2, 2, 20, 2, 20, 20, 2, 20]]
    path.write_text(
        json.dumps(
            dict(
                images=[dict(id=1, width=32, height=32, file_name='1.jpg')],
                annotations=[dict(id=1, image_id=1, category_id=1, segmentation=box)],
                categories=[dict(id=1, name='cup')],
            )
        )
    )
    return path


def test_table_and_plot(annotations, tmp_path, tool):
    status, printed = tool('representation_ceiling.py', '--ann', annotations, '--strides', 1, 4, '--out', tmp_path / 'out')
    assert status == 0 and 'over 20' in printed
    rows = [line.split(',') for line in (tmp_path / 'out/ceiling.csv').read_text().splitlines()]
    assert [row[:3] for row in rows] == [
        ['stride', 'maps', 'AP'],
        ['', 'instances', '1'],
        ['1', 'resampling', '1.000'],
        ['1', 'DCMECodec', '1.000'],
        ['4', 'resampling', rows[4][2]],
        ['4', 'DCMECodec', rows[4][2]],
    ]
    assert 0 < float(rows[4][2]) < 1
    assert (tmp_path / 'out/ceiling.png').stat().st_size > 10_000 and '| 4 | DCMECodec |' in (tmp_path / 'out/ceiling.md').read_text()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--codec', 'Morse'], 'no such codec; there are .*DCMECodec'),
        (['--codec-options', 'radius=3'], '--codec-options: .*radius'),
        (['--codec-options', 'cell=0'], 'DCMECodec: cell must be above 0'),
        (['--codec-options', 'peak_radius=a'], "peak_radius must be a whole number of cells, not 'a'"),
    ],
)
def test_bad_arguments(annotations, tool, arguments, message):
    status, _ = tool('representation_ceiling.py', '--ann', annotations, *arguments)
    assert re.search(message, status)


@pytest.mark.parametrize('arguments', [['--strides', '0'], ['--max-side', '-3']])
def test_numbers_are_above_0(annotations, tool, arguments, capsys):
    assert tool('representation_ceiling.py', '--ann', annotations, *arguments)[0] == 2


def test_a_missing_file(tmp_path, tool):
    status, _ = tool('representation_ceiling.py', '--ann', tmp_path / 'nowhere.json')
    assert 'nowhere.json: can not be read' in status
