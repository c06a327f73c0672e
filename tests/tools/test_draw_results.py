"""tools/draw_results.py on an untrained model: the pictures are there, whatever is on them."""

from PIL import Image


def test_pictures_of_the_test_data(tool, untrained, tmp_path):
    config, weights, _ = untrained
    status, text = tool('draw_results.py', config, weights, '--out', tmp_path / 'new', '--num', 2, '--device', 'cpu')
    assert status == 0, text
    # two of three images, evenly spread: the first and the last
    names = ['000_000000000001.png', '001_000000000003.png', 'contact_sheet.png']
    assert text.splitlines()[-3:] == [str(tmp_path / 'new' / name) for name in names]
    sizes = [Image.open(tmp_path / 'new' / name).size for name in names]
    assert sizes[0][0] > 5 * sizes[0][1], 'six columns: the ground truth is there'
    assert sizes[2][0] == 2400


def test_pictures_of_given_files(tool, untrained, tmp_path):
    config, weights, images = untrained
    picture = tmp_path / 'photo.png'
    with Image.open(next(images.iterdir())) as image:
        image.resize((150, 70)).save(picture)
    status, text = tool('draw_results.py', config, weights, '--out', tmp_path, '--images', picture, '--device', 'cpu')
    assert status == 0, text
    assert (tmp_path / '000_photo.png').is_file()


def test_bad_arguments(tool, untrained, tmp_path):
    config, weights, _ = untrained
    for words, message in (
        ((config, tmp_path / 'no.pth', '--out', tmp_path), 'no.pth is not a file'),
        ((config, weights, '--out', tmp_path, '--images', tmp_path / 'no.jpg'), 'no.jpg is not a file'),
        ((config, weights, '--out', tmp_path, '--num', '0'), 2),
    ):
        status, _ = tool('draw_results.py', *words, '--device', 'cpu')
        assert status == message if isinstance(message, int) else message in status


def test_models_without_dense_maps(tool, untrained, tmp_path):
    _, weights, _ = untrained
    config = tmp_path / 'other.py'
    config.write_text("_base_ = 'mmdet::solov2/solov2_r50_fpn_1x_coco.py'\nmodel = dict(backbone=dict(depth=18, init_cfg=None))\n")
    status, _ = tool('draw_results.py', config, weights, '--out', tmp_path, '--device', 'cpu')
    assert 'a SOLOv2 predicts no dense maps' in status


def test_help_has_an_example(tool):
    status, text = tool('draw_results.py', '--help')
    assert status == 0
    assert 'python tools/draw_results.py configs/dcme/dcme_tiny_shapes.py' in text
