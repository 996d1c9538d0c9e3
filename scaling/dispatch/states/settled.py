"""Find out which runs are settled, that is, have a complete record and the weights that others need."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from scaling.accounting import COUNT_COLUMNS
from scaling.content.content import NOTHING_KNOWN, Content
from scaling.dispatch.states import index
from scaling.dispatch.states.index import Index, Stamp
from scaling.folders import RunFolder, SweepFolder, exists, set_aside
from scaling.record import BrokenRecord, Record, Status, read_record
from scaling.security.reading import parse_json

log = logging.getLogger(__name__)
SUPERSEDED = "record.json.before"  # new name of a record whose run is trained again on request


@dataclass(frozen=True)
class Settled:
    """The part of a record that dispatchers need.

    steps: evaluated milestones; loss, val_loss: at the last one; seconds: of training; speed: examples/s; counts: of
    parameters, by column; C: FLOPs of the whole run; content: digests of the data and code that it was trained with;
    forked: steps taken over from a run of another length.
    """

    status: Status
    steps: tuple[int, ...]
    loss: float | None
    val_loss: float | None
    seconds: float | None
    speed: float | None
    host: str
    attempts: int
    counts: Mapping[str, int | float]
    C: int | float
    content: Content = NOTHING_KNOWN
    forked: int = 0

    @classmethod
    def of(cls, record: Record) -> Settled:
        """Return this part of a record."""
        last, how = record.points[-1], record.how
        return cls(
            status=record.status,
            steps=tuple(point.step for point in record.points),
            loss=last.loss,
            val_loss=last.val_loss,
            seconds=how.get("seconds"),
            speed=how.get("examples_per_second"),
            host=str(how.get("host") or ""),
            attempts=int(how.get("attempts") or 1),
            counts={name: record.counts[name] for name in COUNT_COLUMNS if record.counts.get(name)},
            C=record.counts.get("C", 0),
            content=Content.from_dict(record.content),
            forked=int(how.get("forked", {}).get("step", 0)),
        )

    def to_list(self) -> list[Any]:
        """Return its values as a line of the index has them."""
        own = (self.status, self.steps, self.loss, self.val_loss, self.seconds, self.speed, self.host, self.attempts)
        return [*own, self.counts, self.C, self.content.to_dict(), self.forked]

    @classmethod
    def from_list(cls, raw: list[Any]) -> Settled:
        """Read the values of a line of the index."""
        status, steps, loss, val_loss, seconds, speed, host, attempts, counts, C, content, forked = raw
        known = Content.from_dict(content) if content else NOTHING_KNOWN
        return cls(status, tuple(steps), loss, val_loss, seconds, speed, host, attempts, counts, C, known, forked)

    def lacks(self, milestones: Iterable[int]) -> bool:
        """Return whether a finished run was not evaluated at one of these steps."""
        return self.status == "finished" and not set(self.steps).issuperset(milestones)

    def keeps(self, files: RunFolder, steps: Iterable[int]) -> bool:
        """Return whether the weights at these steps exist; True for a diverged run, which keeps none."""
        return self.status == "diverged" or all(exists(files.kept_weights(step)) for step in steps)


class SettledRuns:
    """A cache of a sweep's settled runs, which reads each record at most once, and not if the index has its content.

    A line of the index is valid for the file with the same size and time. Unsettled runs are looked up at every call.
    broken: errors of damaged records, by run.
    """

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._index = Index(folder.results)
        self._lines: dict[str, dict[Stamp, list[Any]]] | None = None
        self._found: dict[str, Settled] = {}
        self._unlisted: dict[str, tuple[Stamp, Settled]] = {}
        self.broken: dict[str, str] = {}

    def get(self, run_id: str) -> Settled | None:
        """Return the content of a run's record, None if it has no valid one."""
        found = self._found.get(run_id)
        if found is None:
            try:
                stamp = self._index.stamp_of(run_id)
                found = None if stamp is None else self._settled(run_id, stamp)
            except BrokenRecord as error:
                self.broken[run_id] = str(error)
                return None
            except OSError:  # not readable: workers report it when they reach the run
                return None
            if found is None:
                return None
            self._found[run_id] = found
            self.broken.pop(run_id, None)
        return found

    def _settled(self, run_id: str, stamp: Stamp) -> Settled | None:
        line = self._listed().get(run_id, {}).get(stamp)
        if line is not None:
            with suppress(ValueError, TypeError, AttributeError):  # an invalid line: read the record
                return Settled.from_list(line)
        record = read_record(self._folder.run(run_id))
        if record is None:
            return None
        found = Settled.of(record)
        self._unlisted[run_id] = (stamp, found)
        return found

    def _listed(self) -> dict[str, dict[Stamp, list[Any]]]:
        """Return the lines of the index, read once."""
        if self._lines is None:
            self._lines = {}
            events = [event for event in self._index.news() if event.kind == index.SETTLED]
            for run_id, facts in _facts(events):
                if isinstance(facts, list) and len(facts) > 2 and all(isinstance(each, int) for each in facts[:2]):
                    self._lines.setdefault(run_id, {})[tuple(facts[:2])] = facts[2:]
        return self._lines

    def write_index(self) -> None:
        """Add the records that had to be read to the index."""
        lines = [
            index.Line(index.SETTLED, run_id, [*stamp, *found.to_list()])
            for run_id, (stamp, found) in self._unlisted.items()
        ]
        self._unlisted.clear()
        if lines:
            self._index.append_all(lines)

    def done(self, run_id: str, keeps: Iterable[int] = ()) -> bool:
        """Return whether a run is settled and has the weights at the steps `keeps`."""
        found = self.get(run_id)
        return found is not None and found.keeps(self._folder.run(run_id), keeps)


def begun_runs(folder: SweepFolder) -> set[str]:
    """Return the runs that have a folder; the others need no further look, which matters for a hundred thousand."""
    try:
        return {path.name for path in (folder.results / "runs").iterdir()}
    except FileNotFoundError:
        return set()


def _facts(events: list[index.Event]) -> Iterator[tuple[str, list[Any]]]:
    """Parse the facts of lines, all at once if all are valid."""
    try:
        found: list[Any] = parse_json(b"[" + b",".join(event.facts for event in events) + b"]")
        yield from zip((event.run_id for event in events), found, strict=True)
    except ValueError:
        for event in events:
            with suppress(ValueError):
                yield event.run_id, event.read()


def settled_lines(files: RunFolder, index_: Index) -> list[index.Line]:
    """Return the index line for a new record, [] if there is none."""
    stamp, record = index_.stamp_of(files.run_id), read_record(files)
    if stamp is None or record is None:
        return []
    return [index.Line(index.SETTLED, files.run_id, [*stamp, *Settled.of(record).to_list()])]


def is_settled(files: RunFolder, keeps: Iterable[int] = ()) -> bool:
    """Return whether a run has a valid record and the weights at the steps `keeps`, without a cache."""
    try:
        record = read_record(files)
    except BrokenRecord:
        return False
    return record is not None and Settled.of(record).keeps(files, keeps)


def is_known_settled(files: RunFolder, keeps: Iterable[int]) -> bool:
    """Return whether `is_settled`, but False if the record cannot be reached, which workers report later."""
    try:
        return is_settled(files, keeps)
    except OSError:
        return False


def clear_for_training(files: RunFolder) -> None:
    """Rename the record of a run that is trained again; its claim must be held. OSError if a folder in it is a link."""
    for folder in (files.kept_weights(0).parent, files.fork(0).parent):
        if folder.is_symlink():  # it may lead to someone else's files
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(folder))
    if not exists(files.record):
        return
    why = "lacks weights that are needed" if is_settled(files) else "is broken"
    log.warning("found a record that %s; set aside as %s; the run is done again", why, set_aside(files.record).name)


def supersede(files: RunFolder) -> None:
    """Rename a valid record on request, so that its run is trained again."""
    files.record.replace(files.record.with_name(SUPERSEDED))
