"""The source of the packages, parsed once for all tests that read it."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = ("scaling", "analysis")


def modules() -> dict[str, Path]:
    """Return the file of each module, by its dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            found[".".join(path.relative_to(ROOT).with_suffix("").parts)] = path
    return found


MODULES = modules()


@cache
def trees() -> dict[str, ast.Module]:
    """Return the syntax tree of each module, which must not be changed."""
    return {name: ast.parse(path.read_text()) for name, path in MODULES.items()}
