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


@pytest.mark.parametrize(('phrase', 'message'), [('', 'a phrase is empty'), ('word ' * 90, 'tokens')])
def test_bad_phrases_end_with_a_message(tool, untrained_text_model, photo, tmp_path, phrase, message):
    status, _ = tool(TOOL, *untrained_text_model, photo, '--text', phrase, '--out', tmp_path / 'out', '--device', 'cpu')
    assert status.startswith('error: ') and message in status
