"""Claim runs of one stack key and train them together.

If a stack dies, the attempt counts against none of its runs, since each may be the cause. They are tried again in
stacks of half the size, until the faulty run is alone.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

from scaling.dispatch.claims.queue_walk import QueueWalk
from scaling.dispatch.queue import Entry, LazyQueue
from scaling.dispatch.stacks.bounds import Bounds, bounds_of
from scaling.dispatch.stacks.share import LOOKED_AT, fair_share, work_of
from scaling.dispatch.states.attempts import STACK_DIED, Start, disk_full, largest_stack, one_line, read_attempts
from scaling.dispatch.task import Result, Task, load
from scaling.dispatch.worker import Worker

if TYPE_CHECKING:
    from scaling.train.stacked.run import Ending, Member

log = logging.getLogger(__name__)


class StackingWorker(Worker):
    """A worker that trains runs together where they can be; singles: stack keys whose runs are trained one by one."""

    def __init__(self, task: Task, **how: Any) -> None:
        super().__init__(task, **how)
        self.singles = set[str]()

    def look_in_turn(self, entry: Entry, walk: QueueWalk, queue: LazyQueue) -> dict[str, Result]:
        """Look at one run, and at those that can be trained together with it; return results by run id."""
        if not entry.stack_key or entry.stack_key in self.singles:
            return super().look_in_turn(entry, walk, queue)
        found: dict[str, Result] = {}
        rest = list(filter(None, map(queue.get, walk.together(LOOKED_AT, of=entry.run_id))))
        return {entry.run_id: self.with_retries(entry, lambda: self.claim_together(entry, rest, found)), **found}

    def claim_together(self, leader: Entry, rest: Sequence[Entry], results: dict[str, Result]) -> Result:
        """Train a run together with others that fit; return its result, and add those of the others to `results`.

        rest: candidates, in the order of the queue.
        """
        results.clear()
        teams = self._teams(leader, rest, results)
        together = len(teams) > 1 or len(teams[0]) > 1
        try:
            if together:
                Team(self, teams, results).train()
        finally:
            for entry in chain.from_iterable(teams):
                self.drop(entry.run_id)
        if len(teams[0]) == 1 and not together:
            results[teams[0][0].run_id] = self.look(teams[0][0])
        if not teams[0] and leader.run_id not in results:  # it is settled, or can only be trained alone
            return self.look(leader)
        return results.pop(leader.run_id, Result.AGAIN)

    def _teams(self, leader: Entry, rest: Sequence[Entry], results: dict[str, Result]) -> list[list[Entry]]:
        """Claim the runs of a stack and, where several stacks in parallel are faster, those of stacks with other keys.

        The stacks are at most the worker's share of the work, and fit into memory together. Some may have a single run.
        A run whose last stack died is not combined with others.
        """
        bounds = bounds_of(leader, workers=self.task.workers)
        teams = [self._team(fair_share(leader, rest, self.task), results, bounds=bounds, room=bounds.room, after=())]
        part, keys = work_of(rest[:LOOKED_AT]) / max(1, self.task.workers), {leader.stack_key, "", *self.singles}
        room = bounds.room - bounds.memory(teams[0])
        for place, other in enumerate(rest):
            taken = list(chain.from_iterable(teams))
            if len(teams) >= bounds.at_once or work_of(taken) >= part or self.stop.reason:
                break
            if not bounds.is_stack(teams[0]):
                break
            if other.stack_key in keys:
                continue
            keys.add(other.stack_key)
            own = bounds_of(other, workers=self.task.workers)
            if own.kind != bounds.kind or self._any_died((*taken, other)):
                continue
            share = fair_share(other, rest[place:], self.task)
            team = self._team(share, results, bounds=own, room=room, after=taken)
            fits = own.is_stack(team) and own.memory(team) <= room
            if fits and not self._any_died(team):  # that of a dead worker is noted when its run is claimed
                teams.append(team)
                room -= own.memory(team)
            else:
                for entry in team:  # it is trained later
                    self.drop(entry.run_id)
        return teams

    def _team(
        self, share: Sequence[Entry], results: dict[str, Result], *, bounds: Bounds, room: float, after: Sequence[Entry]
    ) -> list[Entry]:
        """Claim the runs of one stack; room: bytes of memory for it; after: runs claimed before, for the time left."""
        team, most = list[Entry](), bounds.most
        seconds = sum(entry.forecast_seconds or 0.0 for entry in after)
        for entry in share:
            if len(team) >= most or self.stop.reason or (team and bounds.memory([*team, entry]) > room):
                break
            result = self.claim(entry, after=seconds)
            if result is not None:
                results[entry.run_id] = result
                continue
            own = self._largest_stack(entry) or most
            if len(team) >= own:
                self.drop(entry.run_id)
                continue
            team.append(entry)
            most, seconds = min(most, own), seconds + (entry.forecast_seconds or 0.0)
        return team

    def _any_died(self, entries: Sequence[Entry]) -> bool:
        """Return whether the last stack of one of these runs died, or it failed alone."""
        return any(self._largest_stack(entry) is not None for entry in entries)

    def _largest_stack(self, entry: Entry) -> int | None:
        return largest_stack(read_attempts(self.task.folder.run(entry.run_id)))


class Team:
    """Claimed runs that are trained together, in one or several stacks."""

    def __init__(self, worker: StackingWorker, teams: Sequence[Sequence[Entry]], results: dict[str, Result]) -> None:
        self.worker, self.results, self.started = worker, results, Start()
        self.left = {entry.run_id: entry for entry in chain.from_iterable(teams)}
        self.sizes = {entry.run_id: len(team) for team in teams for entry in team}

    def train(self) -> None:
        """Train the runs; each one's result is recorded when it leaves its stack."""
        from scaling.train.stacked.users.vmapped import NotStackable

        worker = self.worker
        worker.heartbeat.begin_together()
        members = [member for entry in list(self.left.values()) if (member := self._member(entry)) is not None]
        try:
            if members:
                load(worker.task.train_stack)(members, device=members[0].run.config.train.device)
        except NotStackable as reason:
            log.warning("runs like %s are trained one by one: %s", next(iter(self.left)), reason)
            worker.singles.update(entry.stack_key for entry in self.left.values())
        except BaseException as error:
            if disk_full(error) or (isinstance(error, KeyboardInterrupt) and worker.stop.reason):
                raise
            self._died(error)

    def _member(self, entry: Entry) -> Member | None:
        """Return a run as a member of its stack; if it cannot be read, record the failure and return None."""
        from scaling.train.stacked.run import Member

        run_id, worker = entry.run_id, self.worker
        try:
            run = entry.planned_run()
        except Exception as error:
            self._conclude(entry, error, seconds=0.0)
            return None
        return Member(
            run,
            worker.task.folder.run(run_id),
            ended=partial(self._ended, entry),
            watch=partial(worker.heartbeat.watch, run_id),
            stop=worker.stop.of(run_id),
            forecast_seconds=entry.forecast_seconds,
        )

    def _ended(self, entry: Entry, ending: Ending) -> None:
        result: Any = ending.result
        if isinstance(result, Exception):
            if disk_full(result):
                raise result
            self._conclude(entry, result, seconds=ending.seconds)
        else:
            status = self.worker.cause_of_stop(entry.run_id) if result is None else str(result.status)
            self._conclude(entry, status, seconds=ending.seconds)

    def _conclude(self, entry: Entry, end: str | BaseException, *, seconds: float) -> None:
        share = min(1.0, seconds / max(self.started.seconds, 1e-9))
        size = self.sizes[entry.run_id]
        self.results[entry.run_id] = self.worker.conclude(entry, self.started, end, share=share, stack=size)
        self.worker.drop(entry.run_id)
        del self.left[entry.run_id]

    def _died(self, error: BaseException) -> None:
        """Record that the whole stack died, which does not count against its runs."""
        size = len(self.left)
        log.warning("a stack of %d runs died: %s; they are tried again in smaller ones", size, one_line(error))
        for run_id, entry in self.left.items():
            failed = self.worker.note(entry, self.started, STACK_DIED, error, share=1 / size, stack=size)
            self.results[run_id] = failed or Result.AGAIN
