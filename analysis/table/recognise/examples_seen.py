"""The expression for D, the examples (tokens) that a run processed, from other columns of a table."""

from __future__ import annotations

import re
from collections.abc import Iterable

from analysis.table.recognise.statuses import plain_name
from analysis.wording import ticked

PER_WEIGHT = re.compile(
    r"(tokens?|toks?|examples?|samples?|d)(_(per|to|over))?_(n|p|params?|parameters?|weights?)(_ratio)?|tpp"
)
"""A ratio of examples to parameters, such as tokens_per_param or D/N."""
STEPS = re.compile(r"(run_|train_|training_|num_|n_|global_|optimizer_)?(steps?|iterations?|iters?|updates)")
BATCH = re.compile(
    r"(global_|total_|train_)?(batch(_size)?|bs|bsz)(_(in_)?(tokens?|tok))?|(tokens?|examples?)_per_(batch|step)"
)
LENGTH = re.compile(r"(max_)?(seq|sequence|context|ctx)_?(len(gth)?|size)|block_size|context|n_ctx")
"""Names of the length of a sequence, by which a batch of sequences is multiplied."""
EPOCHS = re.compile(r"(run_|train_|training_|num_|n_)?epochs?")
DATA_SET = re.compile(
    r"(train_|training_)?(data_?set|data|corpus|unique)_(size|tokens?|examples?|samples?)|d_unique|unique_data"
)
"""Names of the number of distinct examples, which a run may process several times."""


def examples_seen(columns: Iterable[str]) -> str:
    """Return D as a product of columns; '' if the table lacks them.

    The factors are a ratio and N, epochs and the size of the data set, or steps, batch and sequence length.
    """
    names = list(columns)
    ratio, steps, batch, length = (_first(names, words) for words in (PER_WEIGHT, STEPS, BATCH, LENGTH))
    epochs, data_set = _first(names, EPOCHS), _first(names, DATA_SET)
    if ratio and "N" in names:
        return f"{ticked(ratio)} * N"
    if epochs and data_set:
        return f"{ticked(epochs)} * {ticked(data_set)}"
    if not (steps and batch):
        return ""
    factors = [steps, batch, *([length] if length and "tok" not in plain_name(batch) else [])]
    return " * ".join(map(ticked, factors))


def is_factor(name: object) -> bool:
    """Tell whether a column of this name is a factor of D, and not D itself."""
    return any(words.fullmatch(plain_name(name)) for words in (PER_WEIGHT, BATCH, LENGTH))


def _first(names: list[str], words: re.Pattern[str]) -> str:
    return next((name for name in names if words.fullmatch(plain_name(name))), "")
