"""Check the size and depth of a YAML file with its aliases expanded, without expanding them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import yaml

from scaling.compose.yaml_numbers import check_numbers
from scaling.errors import UserError

MOST = 1_000_000  # values in an expanded file
DEEPEST = 50  # levels
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_size(file: Path) -> None:
    """Raise UserError for a file of more than MOST values or DEEPEST levels, with misread numbers, or not in UTF-8."""
    try:
        text = file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"found {file}, which is not UTF-8 text; wanted YAML; save it as UTF-8") from error
    try:
        root = None if (deep := _is_deep_text(text)) else yaml.compose(text, Loader=LOADER)
    except yaml.YAMLError:  # reported when it is read
        return
    if deep or _is_deep(root):
        raise UserError(f"found {file}, which is nested deeper than {DEEPEST} levels; wanted fewer; mend it")
    check_numbers(file, root)
    size = _size(root, {})
    if size > MOST:
        raise UserError(f"found {file}, whose aliases stand for {size:.3g} values; wanted at most {MOST:,}; mend it")


def _is_deep_text(text: str) -> bool:
    """Return whether there are more levels than DEEPEST as written; composing far more would end the process."""
    level = 0
    for event in yaml.parse(text, Loader=LOADER):
        level += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if level > DEEPEST:
            return True
    return False


def _is_deep(root: yaml.Node | None) -> bool:
    """Return whether there are more levels than DEEPEST with aliases expanded, each node looked at once."""
    level, seen = _collections([root]), set[int]()
    for _ in range(DEEPEST):
        seen |= level.keys()
        inner = _collections(part for node in level.values() for part in _parts(node))
        level = {key: node for key, node in inner.items() if key not in seen}
    return bool(level)


def _collections(nodes: Iterable[yaml.Node | None]) -> dict[int, yaml.CollectionNode]:
    return {id(node): node for node in nodes if isinstance(node, yaml.CollectionNode)}


def _parts(node: yaml.CollectionNode) -> list[yaml.Node]:
    return [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Count the values of a node; a node with several aliases is computed once and added each time."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST + 1  # for a node that contains itself
        known[id(node)] = 1 + sum(_size(part, known) for part in _parts(node))
    return known[id(node)]
