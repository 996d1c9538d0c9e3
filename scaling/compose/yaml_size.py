"""The size of a YAML file with its aliases expanded, computed without expanding them."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

import yaml

from scaling.errors import UserError

MOST = 1_000_000  # values that a file may stand for
DIGITS = 300  # of a whole number
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_size(file: Path) -> None:
    """Refuse a file whose aliases stand for more values than a plan can have, or with a number of endless length."""
    try:
        root = yaml.compose(file.read_text(encoding="utf-8"), Loader=LOADER)
    except yaml.YAMLError:  # told where it is read
        return
    long = _long_number(root, set())
    if long is not None:
        line = long.start_mark.line + 1
        raise UserError(f"found {file}, line {line}, a number of {len(long.value):,} digits; wanted at most {DIGITS}")
    size = _size(root, {})
    if size > MOST:
        raise UserError(f"found {file}, whose aliases stand for {size:.3g} values; wanted at most {MOST:,}; mend it")


def _long_number(node: yaml.Node | None, seen: set[int]) -> yaml.ScalarNode | None:
    """Return a whole number that nobody can have meant: to write it down again takes for ever."""
    if isinstance(node, yaml.ScalarNode):
        return node if node.tag == "tag:yaml.org,2002:int" and len(node.value) > DIGITS else None
    if not isinstance(node, yaml.CollectionNode) or id(node) in seen:
        return None
    seen.add(id(node))
    parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
    return next(filter(None, (_long_number(part, seen) for part in parts)), None)


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
