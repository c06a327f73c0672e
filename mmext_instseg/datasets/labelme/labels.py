"""Labels of LabelMe files and the classes of a data set."""

import difflib
from collections import Counter
from collections.abc import Iterable, Sequence

from .files import Frame

IGNORE = '__ignore__'  # LabelMe's own names for a region without annotation, and for background
BACKGROUND = '_background_'


def check_classes(frames: Iterable[Frame], classes: Sequence[str] | None = None, skip_labels: Sequence[str] = ()) -> tuple[str, ...]:
    """The classes, once it is known that every label is one of them.

    Args:
        classes: in the order of the labels; None: all labels there are, in alphabetical order.
        skip_labels: labels to leave out. '_background_' always is, and '__ignore__' is a region rather than a class.

    Raises:
        ValueError: a label that is neither a class nor left out, with its first file and the class that may be meant; no label at all
            where `classes` is None.
    """
    counts: Counter = Counter()
    first: dict[str, Frame] = {}
    for frame in frames:
        for one in frame.objects:
            counts[one.label] += 1
            first.setdefault(one.label, frame)
    found = sorted(counts.keys() - {IGNORE, BACKGROUND, *skip_labels})
    if classes is None:
        if not found:
            raise ValueError('no LabelMe file has a labelled shape with area; name the classes, or annotate something')
        return tuple(found)
    unknown = [label for label in found if label not in classes]
    if unknown:
        lines = [f'  {first[one].path}: label {one!r} ({counts[one]} objects){_meant(one, classes)}' for one in unknown[:10]]
        names = ', '.join(map(repr, classes)) or 'none'
        raise ValueError(
            '\n'.join(
                [
                    f'{len(unknown)} labels are no class (classes: {names}); correct them in LabelMe, add them to the classes, '
                    f'or leave them out: skip_labels={unknown[:10]!r}',
                    *lines,
                ]
            )
        )
    return tuple(classes)


def _meant(label: str, classes: Sequence[str]) -> str:
    folded = {name.casefold(): name for name in classes}
    close = difflib.get_close_matches(label.strip().casefold(), folded, n=1)
    return f', did you mean {folded[close[0]]!r}?' if close else ''
