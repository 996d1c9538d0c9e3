"""Check which keys can be tuned: those that do not change the size or the length of a run."""

from __future__ import annotations

from collections.abc import Sequence

from scaling.errors import UserError
from scaling.plan.planned import PlannedRun
from scaling.tune import Range, rounded, with_keys

SEEDS = ("seed", "data.seed")
LENGTHS = ("train.examples", "train.epochs", "train.steps", "train.budget", "data.size")


def check_keys(runs: Sequence[PlannedRun], ranges: Sequence[Range]) -> None:
    """Raise UserError for a key that cannot be tuned: a seed, or one that changes the size or the length."""
    for one in ranges:
        if one.key in SEEDS:
            raise UserError(f"found --key {one.key}; wanted a key with a best value, such as optim.lr; leave it out")
        if one.key in LENGTHS or len({_weights(runs[0], one.key, value) for value in (one.low, one.high)}) > 1:
            raise UserError(
                f"found --key {one.key}, which changes the size or the length of a run; wanted one that leaves both as "
                f"they are, such as optim.lr; make it an axis of the sweep instead"
            )


def _weights(run: PlannedRun, key: str, value: float) -> int:
    """Return the number of weights of a run with a changed key."""
    return with_keys(run, {key: rounded(value, run, key)}).quantities.counts.N
