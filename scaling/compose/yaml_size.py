"""Check the size of a YAML file with its aliases expanded, without expanding them."""

from __future__ import annotations

from pathlib import Path

import yaml

from scaling.compose.yaml_numbers import check_numbers
from scaling.errors import UserError

MOST = 1_000_000  # values in an expanded file
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_size(file: Path) -> None:
    """Raise UserError for a file whose aliases expand to more than MOST values, or with misread numbers."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=LOADER)
    except yaml.YAMLError:  # reported when it is read
        return
    check_numbers(file, root)
    size = _size(root, {})
    if size > MOST:
        raise UserError(f"found {file}, whose aliases stand for {size:.3g} values; wanted at most {MOST:,}; mend it")


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Count the values of a node; a node with several aliases is computed once and added each time."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST + 1  # for a node that contains itself
        pairs = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
