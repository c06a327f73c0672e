"""The 19 classes that Cityscapes evaluates: the one table of ids and colours, so that nothing here needs cityscapesscripts."""

from typing import NamedTuple


class Label(NamedTuple):
    """A class of Cityscapes.

    Attributes:
        id: label id, as in the published PNGs; instance `number` (from 0) of a thing has id * 1000 + number there.
        name: as in the polygon files.
        category: Cityscapes' group of classes.
        color: RGB of the published colour PNGs.
        is_thing: whether instances are told apart.
    """

    id: int
    name: str
    category: str
    color: tuple[int, int, int]
    is_thing: bool


# In the order of the train ids. All other ids below 34 are void in evaluation.
LABELS = (
    Label(7, 'road', 'flat', (128, 64, 128), False),
    Label(8, 'sidewalk', 'flat', (244, 35, 232), False),
    Label(11, 'building', 'construction', (70, 70, 70), False),
    Label(12, 'wall', 'construction', (102, 102, 156), False),
    Label(13, 'fence', 'construction', (190, 153, 153), False),
    Label(17, 'pole', 'object', (153, 153, 153), False),
    Label(19, 'traffic light', 'object', (250, 170, 30), False),
    Label(20, 'traffic sign', 'object', (220, 220, 0), False),
    Label(21, 'vegetation', 'nature', (107, 142, 35), False),
    Label(22, 'terrain', 'nature', (152, 251, 152), False),
    Label(23, 'sky', 'sky', (70, 130, 180), False),
    Label(24, 'person', 'human', (220, 20, 60), True),
    Label(25, 'rider', 'human', (255, 0, 0), True),
    Label(26, 'car', 'vehicle', (0, 0, 142), True),
    Label(27, 'truck', 'vehicle', (0, 0, 70), True),
    Label(28, 'bus', 'vehicle', (0, 60, 100), True),
    Label(31, 'train', 'vehicle', (0, 80, 100), True),
    Label(32, 'motorcycle', 'vehicle', (0, 0, 230), True),
    Label(33, 'bicycle', 'vehicle', (119, 11, 32), True),
)
MAX_ID = 33
INSTANCE_FACTOR = 1000  # an instance is label id * 1000 + its number

THINGS = tuple(label for label in LABELS if label.is_thing)
STUFF = tuple(label for label in LABELS if not label.is_thing)
THING_NAMES = tuple(label.name for label in THINGS)
STUFF_NAMES = tuple(label.name for label in STUFF)
ID_OF = {label.name: label.id for label in LABELS}
