import cv2
import numpy as np
import pytest

TOOL = 'predict_text.py'


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'a photo.png'
    assert cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8))
    return path


def test_a_picture_of_each_image_with_a_row_for_each_phrase(tool, untrained_text_model, photo, tmp_path):
    phrases = ['a $5 bill', r'$\frac$', 'red cup']
    words = (*untrained_text_model, photo, '--text', *phrases, '--out', tmp_path / 'out', '--score', 0.9, '--device', 'cpu')
    status, text = tool(TOOL, *words)
    assert status == 0
    assert [line for line in text.splitlines() if line.endswith('scores []')] == [f'{photo}: "{one}": 0, scores []' for one in phrases]
    picture = cv2.imread(str(tmp_path / 'out' / 'a photo.png'))
    assert picture.shape[1] == 1600 and picture.std() > 10
    assert [path.name for path in (tmp_path / 'out').iterdir()] == ['a photo.png']
    status, _ = tool(TOOL, *words)
    assert 'is there already' in status


def test_rows_of_several_models(tool, untrained_text_model, photo, tmp_path):
    config, weights = untrained_text_model
    other = config.with_name('other.py')
    other.write_text(f"_base_ = '{config}'\nmodel = dict(codec=dict(grouping='boxes', min_votes=8))\n")
    words = ('--text', 'a dog', '--maps', '--score', 0.9, '--device', 'cpu')
    assert tool(TOOL, config, weights, photo, *words, '--out', tmp_path / 'one')[0] == 0
    status, text = tool(TOOL, config, weights, photo, '--also', other, weights, *words, '--out', tmp_path / 'two')
    assert status == 0
    printed = [line for line in text.splitlines() if line.endswith('scores []')]
    assert printed == [f'{photo}, {one}: "a dog": 0, scores []' for one in ('tiny', 'other')]
    one, two = (cv2.imread(str(tmp_path / name / 'a photo.png')) for name in ('one', 'two'))
    assert two.shape == (2 * one.shape[0], 1600, 3)
    assert [path.name for path in (tmp_path / 'two').iterdir()] == ['a photo.png']
    status, _ = tool(TOOL, config, weights, photo, '--also', other, tmp_path / 'no.pth', *words, '--out', tmp_path / 'three')
    assert 'no.pth is not a file' in status and not (tmp_path / 'three').exists()
    status, _ = tool(TOOL, config, weights, photo, '--also', config, weights, *words, '--out', tmp_path / 'three')
    assert "two models have configs of the name 'tiny'" in status


@pytest.mark.parametrize(
    ('phrase', 'message'),
    [
        ('', 'a phrase is empty'),
        (' \u3000', 'a phrase is empty'),
        ('word ' * 90, 'tokens with its start and end'),
        ('a\0dog', 'control character U+0000 at place 1'),
        ('x' * 10**6, 'at most 1000 characters, this one 1,000,000'),
        ('\udcff', 'U+DCFF'),  # an argument of bytes that aren't UTF-8
    ],
    ids=['empty', 'blank', '77 tokens', 'NUL', '1 MB', 'no UTF-8'],
)
def test_bad_phrases_end_with_a_message(tool, untrained_text_model, photo, tmp_path, phrase, message):
    status, _ = tool(TOOL, *untrained_text_model, photo, '--text', 'a dog', phrase, '--out', tmp_path / 'out', '--device', 'cpu')
    assert status.startswith('error: ') and message in status and len(status) < 300
    assert not (tmp_path / 'out').exists()


def test_any_script_is_asked_for(tool, untrained_text_model, photo, tmp_path):
    """Emoji and right-to-left texts are printed as they are; a glyph that the picture's font lacks is a box there."""
    phrases = ['🐶', 'كوب أحمر', 'the \u202bכוס\u202c', '猫']
    words = ('--text', *phrases, '--out', tmp_path / 'out', '--score', 0.9, '--device', 'cpu')
    status, text = tool(TOOL, *untrained_text_model, photo, *words)
    assert status == 0
    assert all(f'{photo}: "{one}": 0, scores []' in text.splitlines() for one in phrases)
    assert (tmp_path / 'out' / 'a photo.png').is_file()
