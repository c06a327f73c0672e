"""What can be said about a scene: phrases and the objects that they mean."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from .sampling import Draw
from .scene import THINGS, Scene, SceneObject

# Sizes as shares of the image's shorter side; what lies between is neither small nor large.
SMALL, LARGE = 0.14, 0.28
# Of two centres one is left of the other (or above) from this share of the side on; where it is less, nothing is said.
CLEARLY = 0.06
# How many phrases at most of each kind; every class in sight is named.
COLORED, SIZED, SIZED_AND_COLORED, RELATED, NEGATIVE = 3, 2, 2, 3, 1
_DIRECTIONS = {'left of': (0, -1), 'right of': (0, 1), 'above': (1, -1), 'below': (1, 1)}  # axis of (x, y), sign of the difference

Words = tuple[str, ...]


@dataclass(frozen=True)
class ScenePhrase:
    """A phrase.

    Attributes:
        text: e.g. 'the small red circle', 'rings', 'squares left of the blue star': plural for several objects.
        name: class, one of `THINGS`.
        attributes: size and colour, as in the text.
        relation: direction and what stands there, e.g. ('left of', 'blue star'); None without.
        objects: indices into `Scene.objects`; empty for a negative phrase.
    """

    text: str
    name: str
    attributes: Words
    relation: tuple[str, str] | None
    objects: tuple[int, ...]


def scene_phrases(scene: Scene, draw: Draw) -> list[ScenePhrase]:
    """Phrases about a scene, no text twice: every class in sight, then some with colour, with size, with both and with a relation.

    Last come negatives, at most one of each kind, where there are such: a class that isn't there; the size or colour of one object with
    the class of another; a relation in which nothing stands, though the class is there.
    """
    objects, side = scene.objects, min(scene.ids.shape)
    words = [(size_word(one.size / side), one.color) for one in objects]
    names = [name for name in THINGS if any(one.name == name for one in objects)]
    relations = list(_relations(objects, words, CLEARLY * side))

    def describe(pairs: Iterable[tuple[Words, str]]) -> list[ScenePhrase]:
        return [_phrase(*pair, _matches(objects, words, *pair)) for pair in dict.fromkeys(pairs) if all(pair[0])]

    looks = list(zip(words, (one.name for one in objects), strict=True))
    mixed = describe(product(((word,) for pair in words for word in pair), names))
    kinds = [
        (len(THINGS), describe(((), name) for name in names)),
        (COLORED, describe(((color,), name) for (_, color), name in looks)),
        (SIZED, describe(((size,), name) for (size, _), name in looks)),
        (SIZED_AND_COLORED, describe(looks)),
        (RELATED, [one for one in relations if one.objects]),
        (NEGATIVE, describe(((), name) for name in THINGS if name not in names)),
        (NEGATIVE, [one for one in mixed if not one.objects]),
        (NEGATIVE, [one for one in relations if not one.objects]),
    ]
    phrases = [kind[i] for number, kind in kinds for i in draw.permutation(len(kind))[:number]]
    return list({phrase.text: phrase for phrase in phrases}.values())


def size_word(share: float) -> str:
    """Of a diameter as a share of the image's shorter side; '' in between."""
    return 'small' if share < SMALL else 'large' if share >= LARGE else ''


def _matches(objects: Sequence[SceneObject], words: Sequence[Words], attributes: Words, name: str) -> tuple[int, ...]:
    return tuple(i for i, one in enumerate(objects) if one.name == name and set(attributes) <= set(words[i]))


def _phrase(attributes: Words, name: str, found: tuple[int, ...], relation: tuple[str, str] | None = None) -> ScenePhrase:
    noun = ' '.join([*attributes, name])
    text = f'{noun}s' if len(found) > 1 else f'the {noun}'
    return ScenePhrase(f'{text} {relation[0]} the {relation[1]}' if relation else text, name, attributes, relation, found)


def _relations(objects: Sequence[SceneObject], words: Sequence[Words], gap: float) -> Iterator[ScenePhrase]:
    """Relations to whatever class, or colour and class, means one object: of all others of a class or none, if all stand clearly."""
    kinds = list(
        dict.fromkeys((attributes, one.name) for one, (_, color) in zip(objects, words, strict=True) for attributes in ((), (color,)))
    )
    found = {kind: _matches(objects, words, *kind) for kind in kinds}
    for (anchor, there), (subject, candidates), (direction, (axis, sign)) in product(found.items(), found.items(), _DIRECTIONS.items()):
        others = [i for i in candidates if i not in there]
        if len(there) > 1 or not others:
            continue
        steps = [sign * (objects[i].center[axis] - objects[there[0]].center[axis]) for i in others]
        if all(abs(step) >= gap for step in steps):
            meant = tuple(i for i, step in zip(others, steps, strict=True) if step > 0)
            yield _phrase(*subject, meant, (direction, ' '.join([*anchor[0], anchor[1]])))
