"""Phrases shared by reports, figures and errors: lists, counts, names of models and augmentations."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pandas as pd

RECIPE_WORDS = {
    "optim": "optimiser",
    "lr_rule": "learning rate",
    "augment": "augmentation",
    "label_smoothing": "label smoothing",
    "stage_recipe": "stage",
}
"""Words for the recipe columns whose names are no plain words."""


def augment_words(augment: str) -> str:
    """Write an augmentation by its name in conf if it has one, else unchanged."""
    named = {
        "none": "no augmentation",
        "standard": "crops, flips, MixUp",
        "standard[scale=[0.4, 1],mixup=0]": "light crops, flips",
        "standard[scale=None,flip=0]": "MixUp alone",
    }
    return named.get(augment, augment)


def symbol(family: object, depth: float, width: float) -> str:
    """Name a model as the paper does: B-12/Wi-1024, S-6/Wi-1024; other families by their own name."""
    letter = {"bottleneck": "B", "mlp": "S"}.get(str(family), str(family))
    return f"{letter}-{depth:.0f}/Wi-{width:.0f}"


def listed(names: Sequence[str] | pd.Index, most: int = 40) -> str:
    """Join names for a sentence. most: maximum number of names listed."""
    words = [str(name) for name in names]
    return ", ".join(words[:most]) + (f" and {len(words) - most} more" if len(words) > most else "")


def ticked(column: str) -> str:
    """Return a column's name as expressions and conditions take it: an unusual one in backticks."""
    return column if column.isidentifier() else f"`{column}`"


def one_word(column: object) -> str:
    """Return a column's name as an option takes it: an unusual one in double quotes."""
    return str(column) if re.fullmatch(r"[\w.]+", str(column)) else f'"{column}"'


def in_quotes(expression: str) -> str:
    """Return an expression as it is typed: in single quotes if it has backticks, which a shell would run in double."""
    return f'"{expression}"' if "`" not in expression else "'" + expression.replace("'", '"') + "'"


def as_typed(value: str) -> str:
    """Return a value as it is typed in a shell, in double quotes where these are safe and needed."""
    quoted = shlex.quote(value)
    return quoted if quoted == value or re.search(r'["$`\\!]', value) else f'"{value}"'


def counted(n: int, noun: str) -> str:
    """Return "1 run", "2 runs", "7,500 runs"."""
    return f"{n} {noun}" if n == 1 else f"{n:,} {noun}s"
