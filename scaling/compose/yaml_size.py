"""The size of a YAML file with its aliases expanded, computed without expanding them."""

from __future__ import annotations

from pathlib import Path

import yaml

from scaling.compose.yaml_numbers import check_numbers
from scaling.errors import UserError

MOST = 1_000_000  # values that a file may stand for
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_size(file: Path) -> None:
    """Refuse a file whose aliases stand for more values than a plan can have, or with numbers that cannot be meant."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=LOADER)
    except yaml.YAMLError:  # told where it is read
        return
    check_numbers(file, root)
    size = _size(root, {})
    if size > MOST:
        raise UserError(f"found {file}, whose aliases stand for {size:.3g} values; wanted at most {MOST:,}; mend it")


def _size(node: yaml.Node | None, known: dict[int, int]) -> int:
    """Count the values of a node; one that many aliases lead to is counted once, and added as often."""
    if not isinstance(node, yaml.CollectionNode):
        return 1
    if id(node) not in known:
        known[id(node)] = MOST + 1  # of one that holds itself
        pairs = isinstance(node, yaml.MappingNode)
        parts = [part for pair in node.value for part in pair] if pairs else node.value
        known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return known[id(node)]
