"""Refuse numbers that YAML reads in a way that was certainly not intended."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import yaml

from scaling.errors import UserError

DIGITS = 300  # most digits of a number
NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")


def check_numbers(file: Path, root: yaml.Node | None) -> None:
    """Raise UserError for numbers of more than DIGITS digits, and those that YAML 1.1 misreads.

    It reads 010 as 8 (base 8), although 08 and 09 are 8 and 9, and 1:30 as 90 (base 60).
    """
    for node in _scalars(root, set()):
        where = f"{file}, line {node.start_mark.line + 1}"
        if len(node.value) > DIGITS:
            raise UserError(f"found {where}, a number of {len(node.value):,} digits; wanted at most {DIGITS}")
        if ":" in node.value or (_is_octal(node.value) and int(node.value, 8) != int(node.value)):
            read = yaml.safe_load(node.value)
            raise UserError(
                f"found {where}, {node.value}, which YAML reads as {read}; wanted a plain number, or a text in quotes; "
                f"change it"
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
