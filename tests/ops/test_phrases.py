import pytest

from mmext_instseg.ops import check_phrase, quote_phrase


@pytest.mark.parametrize(
    'phrase',
    [
        'a red cup',
        'the square left of the circle, 2nd row!',
        '猫と犬',
        'كوب أحمر',
        'the \u202bכוס אדומה\u202c',
        '👩\u200d👩\u200d👧',
        'cafe\u0301',
        'x' * 1000,
        ' a dog ',
        '{0} %s <b>',
    ],
)
def test_text_of_any_script_passes_unchanged(phrase):
    assert check_phrase(phrase) is phrase


@pytest.mark.parametrize(
    ('phrase', 'said'),
    [
        ('', "is empty: ''"),
        (' \u00a0\u3000', 'is empty'),
        ('a\0dog', r"control character U\+0000 at place 1: 'a\\x00dog'"),
        ('a dog\n', r'U\+000A at place 5'),
        ('a\tdog', r'U\+0009'),
        ('\x1b[31mred', r"U\+001B at place 0: '\\x1b\[31mred'"),
        ('a\x85dog', r'U\+0085'),
        ('\udcff', r'U\+DCFF'),
        ('x' * 1001, r"at most 1000 characters, this one 1,001: 'x{37}\.\.\.'"),
        ('cat ' * 2**18, '1,048,576'),
    ],
)
def test_what_is_no_phrase(phrase, said):
    with pytest.raises(ValueError, match=said) as error:
        check_phrase(phrase)
    assert str(error.value).isascii() and str(error.value).isprintable() and len(str(error.value)) < 160


@pytest.mark.parametrize('phrase', [None, 3, b'a dog', ['a dog']])
def test_other_types(phrase):
    with pytest.raises(TypeError, match=f'a phrase must be a string, not {type(phrase).__name__}'):
        check_phrase(phrase)


def test_quotes_are_short_and_ascii():
    assert quote_phrase('a "dog"') == '\'a "dog"\'' and quote_phrase('猫') == "'\\u732b'"
    assert quote_phrase('x' * 40) == f"'{'x' * 40}'" and quote_phrase('x' * 41) == f"'{'x' * 37}...'"
