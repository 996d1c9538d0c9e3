"""Which runs are settled: their record is there, whole, and has what is asked of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from scaling.accounting import COUNT_COLUMNS
from scaling.content.known import NOTHING_KNOWN, Content
from scaling.folders import RunFolder, SweepFolder, set_aside
from scaling.record import BrokenRecord, Record, Status, read_record

log = logging.getLogger(__name__)
SUPERSEDED = "record.json.before"  # name of a record whose run is trained again on request


@dataclass(frozen=True)
class Settled:
    """What a dispatcher asks of a record.

    steps: milestones that were taken; loss, val_loss: at the last one; seconds: of training; speed: examples/s; counts:
    of parameters, by column; content: of data and code that it was trained with.
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
    content: Content = NOTHING_KNOWN

    @classmethod
    def of(cls, record: Record) -> Settled:
        """Take it from a record."""
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
            content=Content.read(record.content),
        )

    def lacks(self, milestones: Iterable[int]) -> bool:
        """Return whether a finished run was not evaluated at one of these steps."""
        return self.status == "finished" and not set(self.steps).issuperset(milestones)

    def keeps(self, files: RunFolder, steps: Iterable[int]) -> bool:
        """Return whether the weights at these steps are there; a diverged run keeps none, and never will."""
        return self.status == "diverged" or all(files.kept_weights(step).is_file() for step in steps)


class SettledRuns:
    """The settled runs of a sweep. Each record is read once; what is not settled yet is looked for at every call.

    broken: records that were cut in half, by run.
    """

    def __init__(self, folder: SweepFolder) -> None:
        self._folder = folder
        self._found: dict[str, Settled] = {}
        self.broken: dict[str, str] = {}

    def get(self, run_id: str) -> Settled | None:
        """Return what a run's record says, None where it has none that is whole."""
        found = self._found.get(run_id)
        if found is None:
            try:
                record = read_record(self._folder.run(run_id))
            except BrokenRecord as error:
                self.broken[run_id] = str(error)
                return None
            except OSError:  # another user's, or of a server that does not answer: workers say so when they come to it
                return None
            if record is None:
                return None
            found = self._found[run_id] = Settled.of(record)
            self.broken.pop(run_id, None)
        return found

    def done(self, run_id: str, keeps: Iterable[int] = ()) -> bool:
        """Return whether a run is settled and has the weights at the steps that it `keeps`."""
        found = self.get(run_id)
        return found is not None and found.keeps(self._folder.run(run_id), keeps)


def is_settled(files: RunFolder, keeps: Iterable[int] = ()) -> bool:
    """Look once whether a run has a whole record and the weights at the steps that it `keeps`."""
    try:
        record = read_record(files)
    except BrokenRecord:
        return False
    return record is not None and Settled.of(record).keeps(files, keeps)


def clear_for_training(files: RunFolder) -> None:
    """Put the record of a run that is trained again out of the way; its claim must be held."""
    if not files.record.exists():
        return
    why = "lacks weights that are needed" if is_settled(files) else "was cut in half"
    log.warning("found a record that %s; set aside as %s; the run is done again", why, set_aside(files.record).name)


def supersede(files: RunFolder) -> None:
    """Put a whole record aside on request, so that its run is trained again."""
    files.record.replace(files.record.with_name(SUPERSEDED))
