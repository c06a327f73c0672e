"""tools/draw_side_by_side.py on untrained models: the pictures are there, with a column a model."""

from PIL import Image


def test_a_column_for_each_model_and_the_truth(tool, untrained, tmp_path):
    config, weights, images = untrained
    two = ('--model', config, weights, '--model', config, weights, '--names', 'plain', 'ours', '--score', 0, '--device', 'cpu')
    status, text = tool('draw_side_by_side.py', *two, '--out', tmp_path / 'new', '--num', 2)
    assert status == 0, text
    names = ['000_000000000001.png', '001_000000000003.png', 'contact_sheet.png']
    assert text.splitlines()[-3:] == [str(tmp_path / 'new' / name) for name in names]
    four = Image.open(tmp_path / 'new' / names[0]).size  # image, two models, truth
    status, text = tool('draw_side_by_side.py', *two, '--out', tmp_path / 'files', '--images', next(images.iterdir()))
    assert status == 0, text
    three = Image.open(next(path for path in (tmp_path / 'files').iterdir() if path.name.startswith('000'))).size
    assert three[1] == four[1] and abs(three[0] / four[0] - 3 / 4) < 0.01


def test_bad_arguments(tool, untrained, tmp_path):
    config, weights, _ = untrained
    for words, message in (
        (('--model', config, tmp_path / 'no.pth'), 'no.pth is not a file'),
        (('--model', config, weights, '--images', tmp_path / 'no.jpg'), 'no.jpg is not a file'),
        (('--model', config, weights, '--model', config, weights), 2),
        (('--model', config, weights, '--num', 0), 2),
    ):
        status, _ = tool('draw_side_by_side.py', *words, '--out', tmp_path, '--device', 'cpu')
        assert status == message if isinstance(message, int) else message in status


def test_help_has_an_example(tool):
    status, text = tool('draw_side_by_side.py', '--help')
    assert status == 0
    assert 'python tools/draw_side_by_side.py --model plain.py plain.pth' in text
