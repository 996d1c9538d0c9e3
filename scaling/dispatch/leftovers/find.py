"""Find the files of a sweep that can be removed, and their sizes."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scaling.dispatch.dispatches import Dispatch, DispatchFolder, dispatches
from scaling.dispatch.launcher import launcher_of_dispatch
from scaling.dispatch.leftovers.named import Wanted, read_named
from scaling.dispatch.queue import LazyQueue
from scaling.dispatch.states.settled import SUPERSEDED, SettledRuns
from scaling.folders import RunFolder, SweepFolder, exists
from scaling.plan.rows import read_columns

KINDS = {  # in the order in which they are shown
    "runs": "once of this sweep, in no plan of these results now",
    "asides": "set aside: broken, or trained again since",
    "checkpoints": "of settled runs; no run to come starts from them",
    "features": "cached, for all sweeps here; computed again if needed",
    "temporary": "left half written by killed processes",
    "weights": "kept as train.keep asked; no plan starts from them",
    "code": "snapshots of the code that ended dispatches have run",
}
ASKED_FOR = ("weights", "code")  # kinds that are removed only if they are named
BROKEN = re.compile(r".+\.broken\d+")
HALF_WRITTEN = re.compile(r"\..+\.\d+(\.\d+)?|\.+claim\.json\..+")  # see folders.write_atomically, claims
REMOVED = "removed.0"  # ending of the hidden name under which a folder is removed
OLD_SECONDS = 3600.0  # age at which a half-written file is abandoned


@dataclass(frozen=True)
class Leftover:
    """A file or folder that can be removed; run_id: its run, '' if it belongs to none; files, bytes: its content."""

    kind: str
    path: Path
    run_id: str
    files: int
    bytes: int


def find_leftovers(folder: SweepFolder) -> list[Leftover]:
    """Return what can be removed from a sweep: no part of an unsettled run that is in a plan."""
    named, settled = read_named(folder.results), SettledRuns(folder)
    planned = [run_id for (run_id,) in read_columns(folder, ("run_id",))]
    wanted = Wanted(named, settled)
    queued = {run_id for files, _ in dispatches(folder) for run_id in LazyQueue(files.queue).run_ids}
    former = (folder.run(run_id).path for run_id in queued - named.runs)
    found = [sized("runs", path, path.name) for path in former if path.is_dir() and not path.is_symlink()]
    for run_id in planned:
        files = folder.run(run_id)
        if files.path.is_symlink() or not files.path.is_dir():
            continue
        found += _set_aside_or_half_written(files.path, run_id)
        if settled.get(run_id) is not None:
            found += _of_settled(files, wanted)
    found += _set_aside_or_half_written(folder.path, "")
    found += _snapshots(folder)
    found += [sized("features", path, "") for path in _entries(folder.results / "features")]
    found += [sized("temporary", path, "") for path in sorted(folder.results.glob(f"runs/.*.{REMOVED}"))]
    return sorted(found, key=lambda one: (list(KINDS).index(one.kind), str(one.path)))


def _of_settled(files: RunFolder, wanted: Wanted) -> Iterator[Leftover]:
    """Yield files of a settled run that no later run starts from."""
    if exists(files.checkpoint):
        yield sized("checkpoints", files.checkpoint, files.run_id)
    for path in _numbered(files.fork(0).parent):
        if not wanted.fork(files.run_id, int(path.name)):
            yield sized("checkpoints", path, files.run_id)
    for path in _numbered(files.kept_weights(0).parent):
        if not wanted.weights(files.run_id, int(path.name)):
            kind = "checkpoints" if wanted.once(files.run_id, int(path.name)) else "weights"
            yield sized(kind, path, files.run_id)


def _snapshots(folder: SweepFolder) -> Iterator[Leftover]:
    """Yield the snapshots of dispatches that are known to have ended."""
    for files, dispatch in dispatches(folder):
        if files.code.is_dir() and not files.code.is_symlink() and _has_ended(files, dispatch):
            yield sized("code", files.code, "")


def _has_ended(files: DispatchFolder, dispatch: Dispatch) -> bool:
    if dispatch.ended or not dispatch.jobs:
        return dispatch.ended or dispatch.process.gone
    return launcher_of_dispatch(dispatch).job_states([(files, dispatch)]) == {}


def _set_aside_or_half_written(folder: Path, run_id: str) -> Iterator[Leftover]:
    """Yield files set aside or half written, in a folder and its folders of weights and states."""
    for place in (folder, *(path for path in _entries(folder) if path.name in ("checkpoints", "forks"))):
        for path in _entries(place):
            if path.name == SUPERSEDED or BROKEN.fullmatch(path.name):
                yield sized("asides", path, run_id)
            elif HALF_WRITTEN.fullmatch(path.name) and time.time() - path.stat().st_mtime > OLD_SECONDS:
                yield sized("temporary", path, run_id)


def _numbered(folder: Path) -> list[Path]:
    return [path for path in _entries(folder) if path.name.isdigit()]


def _entries(folder: Path) -> list[Path]:
    """Return the files and folders in a folder without links; [] if it is missing, a link, or not readable."""
    if folder.is_symlink() or not folder.is_dir():
        return []
    try:
        return sorted(path for path in folder.iterdir() if not path.is_symlink())
    except PermissionError:
        return []


def sized(kind: str, path: Path, run_id: str) -> Leftover:
    """Return a leftover with its size; links are not followed."""
    sizes = list(_sizes([path]))
    return Leftover(kind, path, run_id, len(sizes), sum(sizes))


def _sizes(paths: Iterable[Path]) -> Iterator[int]:
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            for parent, _, files in os.walk(path):
                yield from ((Path(parent) / name).lstat().st_size for name in files)
        else:
            yield path.lstat().st_size
