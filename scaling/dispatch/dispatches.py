"""The folder of a dispatch, results/NAME/jobs/ID: its settings, its queue, its stop file.

A dispatch never changes another's queue, so that jobs that start late find the queue they were submitted with.
"""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scaling.dispatch.claims.stop import StopRequest
from scaling.dispatch.limits import Offer
from scaling.dispatch.process import Process, this_process, this_user
from scaling.dispatch.queue import LazyQueue
from scaling.dispatch.spent import NOTHING, Spent
from scaling.errors import UserError
from scaling.folders import File, SweepFolder, write_atomically
from scaling.limits import UNLIMITED, Limits
from scaling.security.modules import path_of
from scaling.security.reading import known_fields, parse_json, read_text
from scaling.security.rights import OWN_FILE, OWN_FOLDER, check_own_file

if TYPE_CHECKING:
    from scaling.dispatch.task import Task


NAME = re.compile(r"\d{8}-\d{6}-[0-9a-f]{6}")


@dataclass(frozen=True)
class Dispatch:
    """One dispatch of a sweep.

    kind, target, launcher: name, class and keys of the launcher's settings; process: the dispatcher; jobs: ids of a
    scheduler; groups: the same by group; before: spent by runs outside the queue; held: why some runs are not started;
    user: its owner ('' in dispatches of version 0.1.0); since: sizes of the index files when its queue was made.
    """

    id: str
    kind: str
    started: float
    process: Process
    workers: int = 0
    runs: int = 0
    jobs: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    launcher: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = UNLIMITED
    before: Spent = NOTHING
    held: str = ""
    ended: bool = False
    target: str = ""
    user: str = ""
    since: Mapping[str, int] | None = None

    @property
    def may_be_at_work(self) -> bool:
        """Whether it has not ended, as far as is known without asking a scheduler."""
        return not self.ended and (bool(self.jobs) or not self.process.gone)


@dataclass(frozen=True)
class DispatchFolder:
    """The files of one dispatch."""

    path: Path

    facts = File("dispatch.json")  # the Dispatch
    queue = File("queue.jsonl")  # its runs, one line each
    stop = File("stop.json")  # exists if its workers are to stop, or some of its runs
    code = File("code")  # the snapshot of the code that its jobs run

    @property
    def started(self) -> set[str]:
        """The ids of the jobs, or of the local workers, that it has started."""
        return {path.name.partition("_")[0] for path in self.path.glob("*_submitted.pkl")}

    def begin(self, settings: Any, offer: Offer, limits: Limits) -> Dispatch:
        """Return the Dispatch, before it has workers or jobs."""
        return Dispatch(
            id=self.path.name,
            kind=settings.name,
            target=path_of(type(settings)),
            user=this_user(),
            started=time.time(),
            process=this_process(),
            runs=len(offer.queue),
            launcher=asdict(settings),
            limits=limits,
            before=offer.before,
            held=offer.held,
            since=offer.since,
        )

    def write(self, dispatch: Dispatch) -> None:
        """Write the Dispatch atomically."""
        write_atomically(self.facts, json.dumps(asdict(dispatch), indent=1), mode=OWN_FILE)

    def read(self) -> Dispatch | None:
        """Read the Dispatch, None if it is missing or damaged."""
        try:
            raw = known_fields(Dispatch, parse_json(read_text(self.facts)))
            parts = {
                "process": Process(**known_fields(Process, raw["process"])),
                "limits": Limits(**raw["limits"]),
                "before": Spent(**raw["before"]),
                "jobs": tuple(raw["jobs"]),
                "groups": {group: tuple(jobs) for group, jobs in raw["groups"].items()},
            }
            return Dispatch(**{**raw, **parts})
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def ask_to_stop(self, request: StopRequest) -> None:
        """Ask the workers to stop."""
        write_atomically(self.stop, request.to_json(), mode=OWN_FILE)


def new_dispatch(folder: SweepFolder) -> DispatchFolder:
    """Make a folder with a unique name that sorts by time."""
    name = f"{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}-{uuid.uuid4().hex[:6]}"
    path = folder.jobs / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=OWN_FOLDER)  # others can read it, but not write what its jobs read
    return DispatchFolder(path)


def is_dispatch(name: str) -> bool:
    """Return whether this is the name of a dispatch's folder."""
    return NAME.fullmatch(name) is not None


def dispatches(folder: SweepFolder) -> list[tuple[DispatchFolder, Dispatch]]:
    """Return the dispatches of a sweep, oldest first."""
    found = []
    for path in sorted(folder.jobs.glob("*/dispatch.json")):
        made = DispatchFolder(path.parent)
        dispatch = made.read()
        if dispatch is not None:
            found.append((made, dispatch))
    return found


def unreadable_dispatches(folder: SweepFolder) -> list[Path]:
    """Return the dispatch.json files that cannot be read, of dispatches that have started jobs or workers."""
    found = (DispatchFolder(path) for path in sorted(folder.jobs.glob("*/")))
    return [made.facts for made in found if made.read() is None and made.started]


def queued_elsewhere(folder: SweepFolder) -> set[str]:
    """Return the runs in the queues of other live dispatchers on this machine."""
    here, found = this_process(), set[str]()
    for files, dispatch in dispatches(folder):
        if not dispatch.ended and not dispatch.jobs and not dispatch.process.gone and dispatch.process != here:
            found.update(LazyQueue(files.queue).run_ids)
    return found


def last_dispatch(folder: SweepFolder) -> Dispatch:
    """Return the latest dispatch of a sweep; UserError if there is none, or if other users can write its files."""
    found = dispatches(folder)
    if not found:
        raise UserError(f"found no dispatch in {folder.jobs}; wanted a sweep that was started; give `scaling run`")
    files, last = found[-1]
    check_own_file(files.path)
    check_own_file(files.facts)
    return last


def with_limits(task: Task, dispatch: DispatchFolder) -> Task:
    """Return the task with the limits and the number of workers of its dispatch, which is written before the queue."""
    facts = dispatch.read()
    if facts is None:
        return task
    workers = task.workers or facts.workers
    return replace(task, limits=facts.limits, before=facts.before, since=facts.since, workers=workers)
