"""The runs that a dispatch may start: those that can start and fit the limits of the sweep."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.order import Order
from scaling.dispatch.queue import Entry
from scaling.dispatch.spent import NOTHING, Spent, beyond, spent
from scaling.dispatch.states.cancelled import cancelled_runs
from scaling.dispatch.states.outcome import Outcome
from scaling.dispatch.states.state import Planned
from scaling.errors import UserError
from scaling.folders import SweepFolder, exists

__all__ = ["Offer", "Spent", "check_again", "explain_cancelled", "offer_of"]  # Spent: earlier pickles name it here


def check_again(order: Order, again: Container[str]) -> None:
    """Raise UserError if the settled runs that are to be trained again do not all fit the limits."""
    if not order.limits:
        return
    gpus = 0 if order.device == "cpu" else 1
    so_far = spent(order.folder, [*order.entries, *order.others], gpus=gpus)
    for entry in order.entries:
        if entry.run_id not in again:
            continue
        why = beyond(order.limits, so_far, entry, gpus=gpus)
        if why:
            raise UserError(
                f"found settled runs to train again, but {why}; wanted room for all of them, because their records "
                f"are put aside; raise sweep.limit, or redo fewer"
            )
        so_far = so_far.plus(entry, gpus)


@dataclass(frozen=True)
class Offer:
    """The runs that a dispatch may start.

    queue: these runs; before: spent by all runs when it was made, without the queue's runs in flight; held: why other
    runs are not started; blocked: number of runs left out because their parents diverged too early; since: sizes of the
    index files when the order was made.
    """

    queue: tuple[Entry, ...]
    before: Spent = NOTHING
    held: str = ""
    blocked: int = 0
    since: Mapping[str, int] | None = None


def offer_of(order: Order, *, gpus: int, covered: Container[str] = (), promised: Container[str] = ()) -> Offer:
    """Return the unsettled runs of an order that fit its limits: those at the front, then the cheapest.

    gpus: of a worker; covered: runs already queued in live jobs, which are not offered again but count against the
    limits; promised: runs in the queues of other live dispatches of the sweep, which count as well.
    """
    unsettled = order.open_entries
    blocked = _blocked(order.folder, unsettled)
    cancelled = _with_descendants(order.cancelled, unsettled)
    open_runs = [entry for entry in unsettled if entry.run_id not in blocked | cancelled]
    todo = [entry for entry in open_runs if entry.run_id not in covered]
    reasons = [_left_out(order, cancelled)] if cancelled else []
    before = NOTHING
    if order.limits:
        queued: list[Entry | Planned] = [entry for entry in open_runs if entry.run_id in covered]
        queued += [other for other in order.others if _to_come(order.folder, other.run_id, covered, promised)]
        before, kept, why = _paid_for(order, todo, queued, gpus=gpus)
        held = len(todo) - len(kept)
        reasons += [f"{held} of {len(order.entries)} runs are not started: {why}"] if held else []
        todo = [entry for entry in todo if entry.run_id in kept]
    return Offer(tuple(todo), before, "; ".join(reasons), len(blocked), order.since)


def explain_cancelled(outcome: Outcome, order: Order) -> Outcome:
    """Return an outcome that says so if all runs that are left were cancelled by name, or start from such runs."""
    cancelled = _with_descendants(cancelled_runs(order.folder), order.open_entries)
    explained = cancelled and len(cancelled) == outcome.unexplained
    return replace(outcome, held=_left_out(order, cancelled)) if explained else outcome


def _left_out(order: Order, cancelled: Collection[str]) -> str:
    return (
        f"{len(cancelled)} of {len(order.entries)} runs are left out: cancelled by name; "
        f"`scaling retry {shlex.quote(str(order.folder.path))} RUN_ID` takes one up again"
    )


def _to_come(folder: SweepFolder, run_id: str, *queues: Container[str]) -> bool:
    return any(run_id in queue for queue in queues) and not exists(folder.run(run_id).record)


def _paid_for(
    order: Order, todo: Sequence[Entry], queued: Sequence[Entry | Planned], *, gpus: int
) -> tuple[Spent, set[str], str]:
    """Return what was spent before, the runs that fit the limits, and why the others do not."""
    folder, waiting = order.folder, {entry.run_id for entry in todo}
    others: list[Entry | Planned] = [*order.others, *(entry for entry in order.entries if entry.run_id not in waiting)]
    outside = spent(folder, others, gpus=gpus)
    so_far = outside + spent(folder, todo, gpus=gpus)
    before = outside + spent(folder, todo, gpus=gpus, flying=False)
    for entry in queued:
        if read_claim(folder.run(entry.run_id).claim) is None:
            so_far = so_far.plus(entry, gpus)
    left, sentence = set(waiting), ""
    for entry in _by_price(todo, order.front):
        if entry.fork is not None and entry.fork[0] in left:  # without its trunk it trains all steps
            entry = _with_all_steps(entry)
        why = beyond(order.limits, so_far, entry, gpus=gpus)
        if not why and not left.isdisjoint(entry.needs):
            why = "what they start from is not started"
        sentence = sentence or why
        if not why:
            left.remove(entry.run_id)
            so_far = so_far.plus(entry, gpus)
    return before, waiting - left, sentence


def _by_price(todo: Sequence[Entry], front: Container[str]) -> list[Entry]:
    """Return runs in the order in which the budget is spent: parents first, branches right after their trunk."""
    by_id = {entry.run_id: entry for entry in todo}
    depth: dict[str, int] = {}
    for entry in todo:  # parents come before their children
        depth[entry.run_id] = max((1 + depth.get(need, -1) for need in entry.needs), default=0)

    def key(entry: Entry) -> tuple[Any, ...]:
        trunk = by_id.get(entry.fork[0], entry) if entry.fork is not None else entry
        return depth[entry.run_id], *_price(trunk, front), trunk.run_id, entry is not trunk, *_price(entry, front)

    return sorted(todo, key=key)


def _with_all_steps(entry: Entry) -> Entry:
    """Return a branch with the cost of all its steps, as it is trained without its trunk."""
    assert entry.fork is not None
    assert entry.steps is not None, "a run that forks is no stage"
    factor = (entry.steps + entry.fork[1]) / entry.steps
    seconds = None if entry.forecast_seconds is None else entry.forecast_seconds * factor
    return replace(entry, C=entry.C * factor, forecast_seconds=seconds)


def _price(entry: Entry, front: Container[str]) -> tuple[bool, float, float]:
    """Return the sort key of a run for spending the budget: the front of the sweep first, then the cheapest."""
    return entry.run_id not in front, entry.forecast_seconds or 0.0, entry.C


def _with_descendants(runs: Container[str], unsettled: Sequence[Entry]) -> set[str]:
    """Return the unsettled runs among `runs`, and those that start from them."""
    found: set[str] = set()
    for entry in unsettled:  # parents come before their children
        if entry.run_id in runs or any(need in found for need in entry.needs):
            found.add(entry.run_id)
    return found


def _blocked(folder: SweepFolder, unsettled: Sequence[Entry]) -> set[str]:
    """Return the runs that cannot start because their parents are settled without the weights they need."""
    to_come = {entry.run_id for entry in unsettled}
    found: set[str] = set()
    for entry in unsettled:  # parents come before their children
        for need in entry.needs:
            here = need in to_come or entry.step is None or exists(folder.run(need).kept_weights(entry.step))
            if not here or need in found:
                found.add(entry.run_id)
    return found
