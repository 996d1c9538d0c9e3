"""The logs of a run: its attempts, its evaluations, and the end of its job's log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Any

from scaling.dispatch.claims.claim import read_claim
from scaling.dispatch.show import words_of
from scaling.dispatch.states.attempts import read_attempts
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.settled import is_settled
from scaling.dispatch.states.state import State
from scaling.errors import UserError
from scaling.folders import RunFolder, SweepFolder, exists, read_lines
from scaling.security.reading import read_text

FOLLOW = 0.5  # seconds between two reads of a log
TAIL = 20  # lines of a job's log that are shown


def read_log(folder: SweepFolder, run_id: str) -> Iterator[str]:
    """Yield lines about a run: its attempts, evaluations, the end of its job's log, and what it waits for."""
    files = find_run(folder, run_id)
    for number, attempt in enumerate(read_attempts(files), start=1):
        place = " ".join(part for part in (attempt.get("host"), attempt.get("job")) if part)
        took = f"{attempt['seconds']:g} s" if "seconds" in attempt else "some time"
        yield f"attempt {number}: {attempt.get('start', 'then')}, {took} on {place}: {attempt.get('cause', 'unknown')}"
        yield from (f"  {line}" for line in (attempt.get("traceback") or attempt.get("error") or "").splitlines())
    yield from (_evaluation(entry) for entry in read_lines(files.log))
    for log in job_logs(folder, files):
        yield f"== {log}"
        yield from read_text(log, errors="replace").splitlines()[-TAIL:]
    yield from _waiting_notes(folder, files.run_id)


def _waiting_notes(folder: SweepFolder, run_id: str) -> Iterator[str]:
    """Yield the state of a run that is not done, and the notes on why it may be waiting."""
    with suppress(UserError):  # the logs can be read without the plan
        status = _reader_of(folder, run_id).read_with_trouble()
        for run in status.of(State.RUNNING, State.PENDING, State.MISSING):
            yield from (f"run {run.run_id} is {words_of(run)}", *(f"note: {note}" for note in status.notes))


def follow_log(folder: SweepFolder, run_id: str) -> Iterator[str]:
    """Yield the lines of `read_log`, then new evaluations, until the run is neither training nor waiting."""
    files = find_run(folder, run_id)
    yield from read_log(folder, run_id)
    seen = len(list(read_lines(files.log)))
    while True:
        status = _reader_of(folder, files.run_id).read()
        ended = is_settled(files) or not status.of(State.RUNNING, State.PENDING)
        lines = list(read_lines(files.log))
        yield from (_evaluation(entry) for entry in lines[seen:])
        seen = len(lines)
        if ended:
            return
        time.sleep(FOLLOW)


def _reader_of(folder: SweepFolder, run_id: str) -> Reader:
    """Return a reader of one run's state, of no run if the plan does not have it."""
    return Reader(folder, [run for run in read_plan(folder) if run.run_id == run_id])


def find_run(folder: SweepFolder, run_id: str) -> RunFolder:
    """Return the folder of a run, started or planned, by the first digits of its id; UserError if there is none."""
    matches = {path.name for path in (folder.results / "runs").glob(f"{escape(run_id)}*") if path.is_dir()}
    if not matches and exists(folder.plan):
        matches = {run.run_id for run in read_plan(folder) if run.run_id.startswith(run_id)}
    if len(matches) == 1:
        return folder.run(matches.pop())
    if not matches:
        raise UserError(
            f"found no run {run_id} under {folder.results / 'runs'}; wanted one that was started; see `scaling status`"
        )
    raise UserError(f"found {len(matches)} runs that begin with {run_id}; wanted one; give more digits")


def job_logs(folder: SweepFolder, files: RunFolder) -> list[Path]:
    """Return the log of the job that trains a run now, or tried it last; [] if there is none."""
    claim = read_claim(files.claim)
    tried = read_attempts(files)
    job = claim.job if claim is not None else str(tried[-1].get("job") or "") if tried else ""
    logs = folder.jobs.glob(f"*/{escape(job)}_*_log.err") if job and "/" not in job else ()
    return [path for path in sorted(logs, reverse=True) if not path.is_symlink()][:1]


def _evaluation(entry: dict[str, Any]) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in entry.items() if value is not None)


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
