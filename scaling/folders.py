"""The paths of all files, and atomic writes."""

from __future__ import annotations

import errno
import json
import os
import shutil
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.security.reading import check_name, check_regular, parse_json, read_text
from scaling.security.rights import GROUP_FOLDER, shared_as

SHARED_FOLDERS = ("runs", "features")  # of a results folder, shared by its sweeps: no sweep can have these names


class File:
    """A file or folder of a folder, by its name there."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: Any, owner: type) -> Path:
        path: Path = folder.path / self._name
        return path


@dataclass(frozen=True)
class RunFolder:
    """The files of one run, results/runs/RUN_ID."""

    path: Path

    config = File("config.yaml")  # resolved
    record = File("record.json")  # the result; exists if and only if the run is settled
    attempts = File("attempts.jsonl")  # one line an attempt
    log = File("log.jsonl")  # one line an evaluation, appended while the run trains
    claim = File("claim.json")  # the process that trains the run now
    checkpoint = File("checkpoint")  # the state to continue from

    @property
    def run_id(self) -> str:
        """The run's identity, which is the folder's name."""
        return self.path.name

    def kept_weights(self, step: int) -> Path:
        """The weights kept at a milestone, for later stages."""
        return self.path / "checkpoints" / str(step)

    def fork(self, step: int) -> Path:
        """The whole state at a step, from which a run of another length continues."""
        return self.path / "forks" / str(step)

    def other(self, run_id: str) -> RunFolder:
        """The folder of another run of the same results."""
        return RunFolder(self.path.with_name(run_id))

    @property
    def features(self) -> Path:
        """Cached features of frozen bodies, shared by all runs of these results; safe to delete."""
        return self.path.parents[1] / "features"


@dataclass(frozen=True)
class SweepFolder:
    """The files of one sweep, results/NAME, and the runs it shares with the sweeps beside it."""

    results: Path
    name: str

    plan = File("plan.csv")  # one row a run, independent of the machine
    forecast = File("forecast.csv")  # one row a run: seconds, memory and their basis
    sweep = File("sweep.yaml")  # the sweep file with its head comment, and the command line
    cancelled = File("cancelled.json")  # the runs that were cancelled by name, a list
    imported = File("import.json")  # exists if the runs were trained elsewhere: the table that they come from
    paused = File("paused.json")  # exists while the sweep is paused: since when, and by whom
    front = File("front.json")  # the runs that are taken before all others, a list
    jobs = File("jobs")  # submitit's own folder

    @property
    def path(self) -> Path:
        """The sweep's own folder."""
        return self.results / self.name

    @property
    def facts(self) -> dict[str, str]:
        """The name and path of the sweep, for the command on_end."""
        return {"name": self.name, "folder": str(self.path)}

    def run(self, run_id: str) -> RunFolder:
        """The folder of one run, shared by all sweeps of these results; UserError for an id that leads outside."""
        check_name(run_id, self.path)
        return RunFolder(self.results.joinpath("runs", run_id))


def cache_folder() -> Path:
    """Return the folder of this program in the user's cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "scaling"


def exists(path: Path) -> bool:
    """Return whether a file or folder exists; OSError if the file system does not tell.

    Path.exists and Path.is_file say no to any error from Python 3.14 on: a record out of reach for a moment would be
    taken for a run that has to be trained.
    """
    try:
        path.stat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            return False
        raise
    return True


def _temporary(path: Path) -> Path:
    """Return a hidden name beside `path` for writing it, unique by machine, process and thread."""
    return path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.{threading.get_ident()}")


class Place:
    """The identity of a folder, to detect that it has been moved or removed since."""

    def __init__(self, path: Path) -> None:
        self._path, self._was = path, self._now(path)

    @property
    def gone(self) -> bool:
        """Whether the path is another folder now, or none; False if the file system does not answer."""
        try:
            return self._was is not None and self._now(self._path) != self._was
        except OSError:
            return False

    @staticmethod
    def _now(path: Path) -> tuple[int, int] | None:
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino


def write_atomically(path: Path, data: bytes | memoryview | str, *, mode: int = 0o666) -> None:
    """Write a file atomically: under another name, flushed to the disk, then renamed to `path`.

    mode: its permissions before the process's umask.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
    try:
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW  # an existing file is stale, or an attack
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            file.write(data.encode() if isinstance(data, str) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder to fill, which is renamed to `path` after the block, or removed if it fails.

    An existing folder is replaced; one that another process makes meanwhile stays. Unfinished folders of killed
    processes on this machine are removed.
    """
    _remove_dead_folders(path)
    temporary = _temporary(path)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        shutil.rmtree(path, ignore_errors=True)
        try:
            temporary.rename(path)
        except OSError:
            if not path.exists():  # no other process was faster, so that the error is real
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _remove_dead_folders(path: Path) -> None:
    for left in path.parent.glob(f".{path.name}.{os.uname().nodename}.*"):
        try:
            os.kill(int(left.name.split(".")[-2]), 0)
        except ProcessLookupError:
            shutil.rmtree(left, ignore_errors=True)
        except PermissionError:  # a live process of another user
            continue


def set_aside(path: Path) -> Path:
    """Rename a broken file, so that its content is kept but not read again; return the new path."""
    kept = next(p for n in range(1, 10_000) if not (p := path.with_name(f"{path.name}.broken{n}")).exists())
    return path.rename(kept)


def remove_temporary_files(folder: Path, pid: int) -> None:
    """Remove the files that a process killed in `write_atomically` has left under a folder."""
    for temporary in folder.rglob(f".*.{pid}.*"):
        temporary.unlink(missing_ok=True)


def append_line(path: Path, entry: Mapping[str, Any]) -> None:
    """Append one JSON line in a single write; non-finite numbers are refused."""
    append_lines(path, [entry])


def append_lines(path: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON lines in a single write, on a new line if the last was truncated; non-finite numbers are refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps(entry, allow_nan=False) + "\n" for entry in entries).encode()
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW  # a link may lead to someone else's file
    with os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0) as file:
        size = check_regular(file.fileno(), path).st_size
        cut = size > 0 and os.pread(file.fileno(), 1, size - 1) != b"\n"
        left = b"\n" + lines if cut else lines
        while left:
            left = left[file.write(left) :]


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Read JSON lines, without a last line that was truncated by a crash."""
    try:
        text = read_text(path, errors="replace")
    except (FileNotFoundError, NotADirectoryError):
        return
    for line in text.splitlines():
        try:
            entry = parse_json(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def check_writable(folder: SweepFolder, *, group: bool = False) -> None:
    """Make the folders of a sweep; UserError if results cannot be written.

    group: make a new results folder writable for its group.
    """
    probe = folder.path / f".writable.{os.uname().nodename}.{os.getpid()}"
    try:
        folder.results.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            folder.results.mkdir(mode=0o700)  # its reader executes what is written there: access is opt-in
            if group:
                folder.results.chmod(GROUP_FOLDER)
        with shared_as(folder.results):
            folder.path.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"\0" * 4096)
    except OSError as error:
        raise UserError(
            f"found that {folder.path} cannot be written ({error.strerror}); wanted a folder for the results; "
            f"mend that, or give results=DIR"
        ) from error
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
