"""Whether the text of a config can be handed to mmengine, which executes it, without running anything of its author's."""

import ast
import re

# A registered name, at most with a scope: mmengine imports any dotted path that it finds no registered name for, and calls it.
REGISTERED_NAME = re.compile(r'\w+|mm\w+\.[A-Z]\w*')


def inert(text: object) -> bool:
    """Whether `text` is nothing but `name = data` lines, as mmengine dumps configs, with types that are registered names.

    Refused are templates (`{{...}}` is replaced before the text runs), `_base_` (other files), and whatever isn't a literal, a container
    or `dict(key=...)`. What remains can build registered parts and import installed modules (`custom_imports`), nothing else.
    """
    if not isinstance(text, str) or '{{' in text:
        return False
    try:
        statements = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(
        isinstance(line, ast.Assign)
        and all(isinstance(target, ast.Name) and target.id not in ('_base_', 'dict') for target in line.targets)
        and _data(line.value)
        for line in statements
    )


def _data(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return all(map(_data, node.elts))
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Constant)
    if isinstance(node, ast.Dict):
        items = [(key.value if isinstance(key, ast.Constant) else None, value) for key, value in zip(node.keys, node.values, strict=True)]
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == 'dict' and not node.args:
        items = [(keyword.arg, keyword.value) for keyword in node.keywords]
    else:
        return False
    return all(key is not None and _data(value) and (key != 'type' or _registered(value)) for key, value in items)


def _registered(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or REGISTERED_NAME.fullmatch(str(node.value)) is not None)
