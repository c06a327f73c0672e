import json

import pytest

CONFIG = """
model = dict(
    data_preprocessor=dict(pad_size_divisor=32),
    mask_head=dict(num_grids=[4, 2], scale_ranges=((1, 20), (16, 64)), pos_scale=0.2),
)
test_dataloader = dict(dataset=dict(pipeline=[dict(type='AlignedResize', scale=(64, 64), keep_ratio=True)]))
"""
PLAIN = "model = dict(type='MaskRCNN')\n"


@pytest.fixture
def annotations(tmp_path):
    """Two squares of 32x32 pixels, the small one in a corner of the other: at 64x64 they share a cell of 16 pixels."""
    boxes = [[1, 1, 2, 2], [4, 4, 8, 8]]
    path = tmp_path / 'instances.json'
    annotations = [
        dict(id=number, image_id=1, category_id=1, bbox=box, segmentation=[[x, y, x + w, y, x + w, y + h, x, y + h]])
        for number, box in enumerate(boxes)
        for x, y, w, h in [box]
    ]
    images = [dict(id=1, width=32, height=32, file_name='1.jpg')]
    path.write_text(json.dumps(dict(images=images, annotations=annotations, categories=[dict(id=1, name='cup')])))
    return path


def config(folder, text):
    path = folder / 'config.py'
    path.write_text(text)
    return path


def test_table_and_plot(annotations, tmp_path, tool):
    out = tmp_path / 'out'
    status, printed = tool('collisions.py', '--ann', annotations, '--config', config(tmp_path, CONFIG), '--out', out)
    assert status == 0 and '2 instances, 0 of them at no level, in 1 images at 64x64\n1 images with a contested cell' in printed
    rows = [line.split(',') for line in (out / 'collisions.csv').read_text().splitlines()]
    assert rows[1:] == [
        ['4 x 4', '1 to 20', '2', '2', '100.00', '1', '50.00', '4', '1', '25.00'],
        ['2 x 2', '16 to 64', '1', '0', '0.00', '0', '0.00', '1', '0', '0.00'],
        ['all', '', '2', '2', '100.00', '1', '50.00', '5', '1', '20.00'],
    ]
    assert (out / 'collisions.png').stat().st_size > 5_000 and '| 4 x 4 | 1 to 20 |' in (out / 'collisions.md').read_text()


def test_scale_instead_of_the_configs(annotations, tmp_path, tool):
    """Not enlarged, the large square has side 8 and claims no cell of the coarse grid."""
    status, printed = tool('collisions.py', '--ann', annotations, '--config', config(tmp_path, CONFIG), '--scale', 32, 32)
    assert status == 0 and 'at 32x32' in printed
    assert ['2', 'x', '2', '16', 'to', '64', '0', '0', '-'] in [line.replace('│', ' ').split()[:9] for line in printed.splitlines()]


def test_solov2_by_default(annotations, tool):
    status, printed = tool('collisions.py', '--ann', annotations)
    assert status == 0 and '40 x 40' in printed and 'at 1333x800' in printed


def test_a_config_without_solo(annotations, tmp_path, tool):
    status, _ = tool('collisions.py', '--ann', annotations, '--config', config(tmp_path, PLAIN))
    assert 'config.py: model.mask_head has no num_grids' in status


@pytest.mark.parametrize(
    ('resize', 'fine'),
    [('scale=64', '2'), ('scale=(64, 128), keep_ratio=True', '2'), ('scale=(64, 128), keep_ratio=False', '1'), ('scale=(64, 128)', '1')],
)
def test_scales_as_mmcvs_resize(annotations, tmp_path, tool, resize, fine):
    """Twice as high again, the large square has side 22.6 and claims no cell of the fine grid; keep_ratio is False by default."""
    out = tmp_path / 'out'
    tool(
        'collisions.py',
        '--ann',
        annotations,
        '--config',
        config(tmp_path, CONFIG.replace('scale=(64, 64), keep_ratio=True', resize)),
        '--out',
        out,
    )
    assert (out / 'collisions.csv').read_text().splitlines()[1].split(',')[:3] == ['4 x 4', '1 to 20', fine]


def test_a_pipeline_without_a_scale(annotations, tmp_path, tool):
    factor = config(tmp_path, CONFIG.replace('scale=(64, 64), keep_ratio=True', 'scale_factor=2.0'))
    status, _ = tool('collisions.py', '--ann', annotations, '--config', factor)
    assert 'config.py: AlignedResize of the test pipeline has no scale; give --scale' in status
    status, printed = tool('collisions.py', '--ann', annotations, '--config', factor, '--scale', 64, 64)
    assert status == 0 and 'at 64x64' in printed


def test_a_missing_file(tmp_path, tool):
    status, _ = tool('collisions.py', '--ann', tmp_path / 'nowhere.json')
    assert 'nowhere.json: can not be read' in status
