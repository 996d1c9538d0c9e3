"""Numbers of a YAML file that nobody can have meant as YAML reads them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import yaml

from scaling.errors import UserError

DIGITS = 300  # of a whole number
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def check_numbers(file: Path, root: yaml.Node | None) -> None:
    """Refuse whole numbers of endless length, which take for ever to write down, and those that YAML 1.1 misreads.

    It takes 010 for 8 (base 8), though 08 and 09 are read as 8 and 9, and 1:30 for 90 (base 60).
    """
    for node in _scalars(root, set()):
        where = f"{file}, line {node.start_mark.line + 1}"
        if len(node.value) > DIGITS:
            raise UserError(f"found {where}, a number of {len(node.value):,} digits; wanted at most {DIGITS}")
        if ":" in node.value or (_is_octal(node.value) and int(node.value, 8) != int(node.value)):
            read = yaml.safe_load(node.value)
            raise UserError(
                f"found {where}, {node.value}, which YAML reads as {read}; wanted a plain number; change it"
            )


def _is_octal(text: str) -> bool:
    digits = text.lstrip("+-")
    return len(digits) > 1 and digits[0] == "0" and digits.isdigit()


def _scalars(node: yaml.Node | None, seen: set[int]) -> Iterator[yaml.ScalarNode]:
    if isinstance(node, yaml.ScalarNode) and node.tag in NUMBERS:
        yield node
    elif isinstance(node, yaml.CollectionNode) and id(node) not in seen:
        seen.add(id(node))
        parts = chain.from_iterable(node.value) if isinstance(node, yaml.MappingNode) else node.value
        for part in parts:
            yield from _scalars(part, seen)
