"""Remove leftover files; those of a run are removed while holding its claim, so that no worker uses it meanwhile."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from itertools import groupby
from pathlib import Path

from scaling.dispatch.claims.claim import Observer, acquire, read_claim, take
from scaling.dispatch.leftovers.find import REMOVED, Leftover
from scaling.dispatch.states.read_state import claim_lives, read_status
from scaling.dispatch.states.state import State
from scaling.errors import UserError
from scaling.folders import RunFolder, SweepFolder, exists
from scaling.numbers import many


def refuse_at_work(folder: SweepFolder) -> None:
    """Raise UserError if runs of these results are being trained, or wait in a queue."""
    status = read_status(folder)
    busy = [run.run_id for run in status.of(State.RUNNING, State.PENDING)] or _claimed(folder.results)
    if busy:
        raise UserError(
            f"found {many(len(busy), 'run')} in {folder.results} being trained, or about to be "
            f"({', '.join(busy[:3])}{', …' if len(busy) > 3 else ''}); wanted none; wait, or "
            f"stop them with `scaling cancel`"
        )


def _claimed(results: Path) -> list[str]:
    """Return the runs of all sweeps that are claimed."""
    found = []
    for path in sorted(results.glob("runs/*/claim.json")):
        files, claim = RunFolder(path.parent), read_claim(path)
        if claim is not None and claim_lives(files, claim, None):
            found.append(files.run_id)
    return found


def remove(folder: SweepFolder, found: Sequence[Leftover]) -> list[Leftover]:
    """Remove leftovers, and return those that remain because their run is claimed or they are another user's."""
    left: list[Leftover] = []
    for run_id, group in groupby(sorted(found, key=lambda one: one.run_id), key=lambda one: one.run_id):
        own = list(group)
        try:
            left += _of_run(folder.run(run_id), own) if run_id else _plainly(own)
        except PermissionError:  # another user's
            left += [one for one in own if exists(one.path)]
    return left


def _of_run(files: RunFolder, own: Sequence[Leftover]) -> list[Leftover]:
    """Remove the leftovers of one run, unless it is claimed.

    A dead worker's claim on an unsettled run stays, because it shows how that worker died.
    """
    known = exists(files.record) or any(one.kind == "runs" for one in own)
    held = take(files.claim, Observer()) if known else acquire(files.claim)
    if held is None:
        return list(own)
    try:
        return _plainly(own)
    finally:
        held.release()
        with suppress(OSError):  # only if the run's folder is empty
            files.path.rmdir()


def _plainly(own: Iterable[Leftover]) -> list[Leftover]:
    for one in own:
        if one.path.is_dir():
            gone = one.path.with_name(f".{one.path.name}.{REMOVED}")  # first hidden, as a whole
            one.path.rename(gone)
            shutil.rmtree(gone)
        else:
            one.path.unlink(missing_ok=True)
            if one.path.parent.name in ("checkpoints", "forks"):
                with suppress(OSError):  # others may be left in it
                    one.path.parent.rmdir()
    return []
