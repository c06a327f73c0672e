"""Writes the reference of everything that a config can name: arguments, types, defaults and meanings, all read from the code."""

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path

import mmext_instseg  # noqa: F401  (registers everything)
from mmext_instseg import registry
from mmext_instseg.models.detectors.bottom_up import TestSettings
from mmext_instseg.models.detectors.instance_clipseg import PhraseSettings

EXAMPLE = """example:
  python tools/config_reference.py --out docs/reference.md"""
PACKAGE = 'mmext_instseg'
HEAD = """# Configuration reference

Every part that this package registers, by registry, written from signatures and docstrings by
`python tools/config_reference.py --out docs/reference.md`. Names are plain: `type='DCMECodec'` works with mmdet's, mmseg's and mmpretrain's
default scope. Shapes: B images, C channels, (H, W) pixels, K instances.
"""
#: What OpenMMLab means by these everywhere, where a docstring doesn't say more.
USUAL = {
    'norm_cfg': 'the normalisation layers, as a config; None: none.',
    'act_cfg': 'the activations, as a config; None: none.',
    'init_cfg': "mmengine's initialisation of the weights.",
    'data_preprocessor': 'normalises and pads batches, as a config.',
    'train_cfg': 'not read.',
}
SETTINGS = {'`test_cfg` of a `BottomUpSegmentor`': TestSettings, '`test_cfg` of an `InstanceCLIPSeg`': PhraseSettings}


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, epilog=EXAMPLE, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, metavar='FILE', help='Markdown file in place of the terminal')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    try:
        text = make_page()
        if args.out is None:
            print(text, end='')
        else:
            args.out.write_text(text)
            print(args.out)
    except OSError as error:
        sys.exit(f'error: {error}')


def make_page() -> str:
    parts = [HEAD]
    for kind in registry.__all__:
        found = getattr(registry, kind).module_dict
        ours = {name: found[name] for name in sorted(found) if found[name].__module__.startswith(f'{PACKAGE}.')}
        if ours:
            parts.append(f'## {kind}\n')
            parts += [describe(f'`{name}`', cls) for name, cls in ours.items()]
    parts.append('## Settings\n')
    parts += [describe(title, cls) for title, cls in SETTINGS.items()]
    return '\n'.join(parts)


def describe(title: str, cls: type) -> str:
    """A heading, the first paragraph of the docstring, and a table of the arguments."""
    module = cls.__module__.removeprefix(f'{PACKAGE}.')
    lines = [f'### {title}\n', f'{first_paragraph(cls)} (`{module}`)\n']
    rows = list(arguments(cls))
    if rows:
        lines.append('| argument | type | default | |\n| :-- | :-- | :-- | :-- |')
        lines += [f'| {" | ".join(escape(cell) for cell in row)} |' for row in rows]
        lines.append('')
    if foreign := next((base for base in chain(cls) if not base.__module__.startswith(PACKAGE)), None):
        lines.append(f"And the arguments of `{foreign.__module__.split('.')[0]}`'s `{foreign.__name__}`.\n")
    return '\n'.join(lines)


def chain(cls: type) -> list[type]:
    """The classes whose arguments a config may give: each next one only where the one before passes `**kwargs` on."""
    found = []
    for base in cls.__mro__:
        if '__init__' not in vars(base) or base is object:
            continue
        found.append(base)
        kinds = [parameter.kind for parameter in inspect.signature(base.__init__).parameters.values()]
        if inspect.Parameter.VAR_KEYWORD not in kinds or not base.__module__.startswith(PACKAGE):
            break
    return found


def arguments(cls: type) -> Iterator[tuple[str, str, str, str]]:
    """(name, type, default, meaning) of each argument, a child's before its base's."""
    meanings = USUAL | {name: text for base in reversed(cls.__mro__) for name, text in documented(base).items()}
    if is_dataclass(cls):
        for one in fields(cls):
            default = '' if one.default is MISSING else code(repr(one.default))
            yield code(one.name), annotation(one.type), default, meanings.get(one.name, '')
        return
    seen = {'self'}
    for base in chain(cls):
        if not base.__module__.startswith(PACKAGE):
            continue
        given = fixed(base, cls)
        for name, one in inspect.signature(base.__init__).parameters.items():
            if name in seen or name in given or one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL):
                continue
            seen.add(name)
            default = '' if one.default is one.empty else code(short(one.default))
            yield code(name), annotation(one.annotation), default, meanings.get(name, '')


def fixed(base: type, cls: type) -> set[str]:
    """Arguments of a base that a class below it already gives in its call of `super().__init__`."""
    found: set[str] = set()
    for child in chain(cls):
        if child is base:
            break
        for call in re.findall(r'super\(\)\.__init__\((.*?)\)\n', inspect.getsource(child.__init__), re.DOTALL):
            found |= set(re.findall(r'(?:^|[\s,(])(\w+)=', call))
    return found


def documented(cls: type) -> dict[str, str]:
    """Argument -> its text under `Args:` (or `Attributes:`) of the class's own docstring."""
    text = inspect.cleandoc(vars(cls).get('__doc__') or '')
    block = re.search(r'^(?:Args|Attributes):\n((?:(?: .*)?\n?)*)', text, re.MULTILINE)
    found: dict[str, str] = {}
    names: list[str] = []
    for line in (block[1] if block else '').splitlines():
        entry = re.match(r'^    (\*{0,2}\w+(?:, \w+)*)(?: \([^)]*\))?: (.*)$', line)
        if entry:
            names = entry[1].split(', ')
            found.update(dict.fromkeys(names, entry[2]))
        elif line.strip():
            found.update({name: f'{found[name]} {line.strip()}' for name in names})
        else:
            names = []
    return found


def first_paragraph(cls: type) -> str:
    return ' '.join((inspect.getdoc(cls) or '').split('\n\n')[0].split())


def annotation(kind: object) -> str:
    """As written, without modules and without the quotes of a string."""
    if kind is inspect.Parameter.empty:
        return ''
    return code(re.sub(r'\b(?:[a-z_]+\.)+', '', inspect.formatannotation(kind)).replace("'", '') if not isinstance(kind, str) else kind)


def short(default: object) -> str:
    """A config's own notation: dict(...)."""
    if isinstance(default, dict) and all(isinstance(key, str) for key in default):
        return f'dict({", ".join(f"{key}={short(value)}" for key, value in default.items())})'
    return repr(default)


def code(text: str) -> str:
    return f'`{text}`'


def escape(cell: str) -> str:
    return cell.replace('|', '\\|')


if __name__ == '__main__':
    main()
