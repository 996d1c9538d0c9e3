"""Divide runs into stacks about as the workers of a sweep will, and share the costs of a stack among its runs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from math import inf
from typing import TypeVar

T = TypeVar("T")


def divide(
    runs: Iterable[T],
    *,
    key: Callable[[T], Hashable],
    work: Callable[[T], float],
    workers: int,
    other_work: float = 0.0,
    most: Callable[[T], float] = lambda run: inf,
) -> Iterator[list[T]]:
    """Divide runs, in the order of the queue, into the stacks in which the workers will train them.

    A stack has runs with the same key, at most `most` of the first one, and at most a worker's share of the work that
    is left when it begins. key: equal for runs that can be trained together; work: of a run, in any unit; other_work:
    that of runs which are trained meanwhile.
    """
    groups: dict[Hashable, list[T]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    left = other_work + sum(sum(map(work, group)) for group in groups.values())
    for group in groups.values():
        limit, share = most(group[0]) if len(group) > 1 else 1, left / workers
        stack, size = list[T](), 0.0
        for run in group:
            if stack and (len(stack) >= limit or size + work(run) / 2 > share):
                yield stack
                stack, size = [], 0.0
            stack.append(run)
            size += work(run)
        yield stack
        left -= sum(map(work, group))


def paid_by(lengths: Mapping[str, int]) -> dict[str, float]:
    """Return each run's share of the steps (or examples) of several runs, where all runs that take a step share it.

    lengths: the number of steps that each run takes from a common start, by run_id.
    """
    found, before, paid = dict[str, float](), 0, 0.0
    for gone, run_id in enumerate(sorted(lengths, key=lambda run_id: lengths[run_id])):
        paid += (lengths[run_id] - before) / (len(lengths) - gone)
        before, found[run_id] = lengths[run_id], paid
    return found
