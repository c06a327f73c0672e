"""Names of categories as phrases."""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

# Ours, after the prompts that CLIP and CLIPSeg train with; 'a' becomes 'an' where it should.
TEMPLATES = ('{}', 'a {}', 'the {}', 'a photo of a {}', 'a photo of the {}', 'an image of a {}')

# 'an' goes by sound: a unicycle, a utensil, a one-way street, but an uninvited guest; an hourglass, an x-ray. Usual cases, no dictionary.
_VOWEL_SOUND = re.compile(
    r'(?!uni(?!de|m|n)|us[aeiu]|ut[ei]|uku|ur(an|in)|ufo\b|u\b|eu|ewe|one(?!r))[aeiou]|hon(est|ou?r)|hour|heir|[fhlmnrsx]\b', re.IGNORECASE
)


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """The templates; raises ValueError unless there is one and each has one place for the phrase, '{}'."""
    if isinstance(templates, str) or not templates or not all(isinstance(one, str) and one.count('{}') == 1 for one in templates):
        raise ValueError(f"templates are a sequence of texts with one {{}} each, such as 'a photo of a {{}}', not {templates!r}")
    return tuple(templates)


def fill(template: str, phrase: str) -> str:
    """The phrase in its template, e.g. 'a photo of an apple'."""
    if _VOWEL_SOUND.match(phrase):
        template = re.sub(r'\b(a|A) (?={})', r'\1n ', template)
    return template.replace('{}', phrase)


def clean_name(name: str) -> str:
    """An LVIS name without its qualifier: 'mouse_(computer_equipment)' is 'mouse'."""
    return _spaced(re.sub(r'\([^)]*\)', ' ', name)) or spell_out(name)


def spell_out(name: str) -> str:
    """An LVIS name with its qualifier: 'mouse_(computer_equipment)' is 'mouse (computer equipment)'."""
    return _spaced(name)


def _spaced(name: str) -> str:
    return ' '.join(name.replace('_', ' ').split())


@dataclass(frozen=True)
class CategoryPhrases:
    """What a category is called.

    Attributes:
        cleaned: phrases from its name and synonyms, the name's first, each once.
        spelled: the same with qualifiers.
    """

    cleaned: tuple[str, ...]
    spelled: tuple[str, ...]

    @classmethod
    def from_names(cls, names: Iterable[str]) -> 'CategoryPhrases':
        """From LVIS's `name` and `synonyms`."""
        names = list(names)
        return cls(*(tuple(dict.fromkeys(map(form, names))) for form in (clean_name, spell_out)))

    def other_than(self, taken: Collection[str]) -> tuple[str, ...]:
        """The phrases that aren't taken; where all are, those with qualifiers that aren't. May be empty."""
        free = tuple(phrase for phrase in self.cleaned if phrase not in taken)
        return free or tuple(phrase for phrase in self.spelled if phrase not in taken)
