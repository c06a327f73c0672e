"""What may be asked of a text encoder."""

import unicodedata

MAX_CHARACTERS = 1000  # 77 tokens of CLIP are some 300; a tokenizer's time grows with the square of a word's length


def check_phrase(phrase: str) -> str:
    """The phrase, if it is one: some text of one line, in any script and direction, with emoji if need be.

    How many tokens it has only a tokenizer can tell, so the text encoder checks that.

    Raises:
        TypeError: not a string.
        ValueError: empty or blank; more than 1000 characters; a control character, among them NUL, tab and every line end; half of a
            surrogate pair, which no encoding has.
    """
    if not isinstance(phrase, str):
        raise TypeError(f'a phrase must be a string, not {type(phrase).__name__}')
    if len(phrase) > MAX_CHARACTERS:
        raise ValueError(f'a phrase has at most {MAX_CHARACTERS} characters, this one {len(phrase):,}: {quote_phrase(phrase)}')
    if not phrase.strip():
        raise ValueError(f'a phrase is empty: {quote_phrase(phrase)}; name what is to be found, such as "a red cup"')
    for place, character in enumerate(phrase):
        if unicodedata.category(character) in ('Cc', 'Cs', 'Zl', 'Zp'):
            raise ValueError(f'a phrase has the control character U+{ord(character):04X} at place {place}: {quote_phrase(phrase)}')
    return phrase


def quote_phrase(phrase: str) -> str:
    """A phrase for a message: its beginning, in quotes and ASCII."""
    return ascii(phrase if len(phrase) <= 40 else phrase[:37] + '...')
