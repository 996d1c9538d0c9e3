"""Check which keys can be tuned: those that do not change the size or the length of a run."""

from __future__ import annotations

from collections.abc import Sequence

from scaling.errors import UserError
from scaling.plan.planned import PlannedRun
from scaling.plan.request import Request
from scaling.tune import Range, rounded, with_keys

SEEDS = ("seed", "data.seed")
SAME_LENGTH = 0.9  # least ratio of two numbers of examples that count as one length, as after dropped partial batches
LENGTHS = ("train.examples", "train.epochs", "train.steps", "train.budget", "data.size")


def check_keys(runs: Sequence[PlannedRun], ranges: Sequence[Range]) -> None:
    """Raise UserError for runs of several stages, and for keys that are seeds, have one value, or change the size."""
    planned = {run.run_id for run in runs}
    if any(run.parent is not None and run.parent.run_id in planned for run in runs):
        raise UserError("found stages in the sweep; wanted runs of one kind to tune; give sweep.stages=[]")
    for one in ranges:
        if one.key in SEEDS:
            raise UserError(f"found --key {one.key}; wanted a key with a best value, such as optim.lr; leave it out")
        if one.key in LENGTHS or _changes_size(runs[0], one):
            batch = one.key == "train.batch"
            advice = "give the length in train.examples" if batch else "make it an axis of the sweep instead"
            raise UserError(
                f"found --key {one.key}, which changes the size or the length of a run; wanted one that leaves both as "
                f"they are, such as optim.lr; {advice}"
            )
        only = rounded(one.low, runs[0], one.key)
        if only == rounded(one.high, runs[0], one.key):
            raise UserError(
                f"found --range {one.low:g} {one.high:g}, in which {one.key} has the one value {only:g}; wanted "
                f"several; widen it"
            )


def check_said(request: Request, ranges: Sequence[Range], by: Sequence[str]) -> None:
    """Raise UserError for a tuned key that an override sets as well, or by which runs are to be tuned separately."""
    for one in ranges:
        if one.key in by:
            raise UserError(f"found --by {one.key}, which is tuned; wanted another key, such as model.width; drop it")
        if one.key in (*request.fixed, *request.axes):
            raise UserError(
                f"found {one.key} on the command line beside --range, which varies it; wanted one of the two; drop "
                f"{one.key}=…, or tune another key"
            )


def _changes_size(run: PlannedRun, tuned: Range) -> bool:
    """Return whether the ends of a range differ in the weights or, but for dropped batches, in the examples."""
    ends = [with_keys(run, {tuned.key: rounded(value, run, tuned.key)}) for value in (tuned.low, tuned.high)]
    one, other = (end.quantities for end in ends)
    return one.counts.N != other.counts.N or min(one.D, other.D) < SAME_LENGTH * max(one.D, other.D)
