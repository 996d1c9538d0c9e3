"""The index of a results folder, results/.index: events of its runs, in one append-only file for each machine.

It saves opening a hundred thousand records to know which runs are settled or claimed, and what they cost. Its lines are
hints: records and claims are authoritative, and a lost or truncated line costs one look at them. Each machine appends
to its own file, because on a file server appends by two machines may overwrite each other.
"""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from scaling.dispatch.process import host
from scaling.security.reading import open_file, parse_json

SETTLED, CLAIMED, DROPPED, TRIED, FAILED = b"s", b"c", b"d", b"t", b"f"
KINDS = frozenset((SETTLED, CLAIMED, DROPPED, TRIED, FAILED))
# For a text preceded by a newline, which is much faster than ^; sizes and times have at most 20 digits.
SETTLED_LINE = re.compile(r"\ns (\S+) \[(\d{1,20},\d{1,20})[,\]]")
OTHER_LINE = re.compile(r'\n([cdtf]) (\S+) \{"(?:token|in)":"([^"\n]*)"')


Stamp = tuple[int, int]  # size and time of a record's file (ns)


class Line(NamedTuple):
    """A line to be written; see Event."""

    kind: bytes
    run_id: str
    facts: Any


class Event(NamedTuple):
    """A line that was read: its kind, the run, and the facts as JSON.

    SETTLED: the content of a record (see settled.py); CLAIMED: a worker has begun; DROPPED: it has released the run
    without an attempt; TRIED: an attempt has ended; FAILED: the run has failed for good in the named dispatch.
    """

    kind: bytes
    run_id: str
    facts: bytes

    def read(self) -> Any:
        """Return the facts."""
        return parse_json(self.facts)


def text_of(lines: Sequence[Line]) -> bytes:
    """Return lines in the format of the index."""
    return b"".join(
        b"%s %s %s\n" % (kind, run_id.encode(), json.dumps(facts, separators=(",", ":")).encode())
        for kind, run_id, facts in lines
    )


def events_in(text: bytes) -> Iterator[Event]:
    """Yield the complete lines of a text."""
    for line in text.split(b"\n"):
        parts = line.split(b" ", 2)
        if len(parts) == 3 and parts[0] in KINDS and parts[2][-1:] in (b"]", b"}"):
            yield Event(parts[0], parts[1].decode(errors="replace"), parts[2])


def settled_in(text: str) -> dict[str, str]:
    """Return the settled runs with "size,time" of their records; fast, because there may be millions of lines."""
    return dict(SETTLED_LINE.findall("\n" + text))


def others_in(text: str) -> list[tuple[str, str, str]]:
    """Return kind, run, and claim token (for FAILED: dispatch) of all other lines."""
    return OTHER_LINE.findall("\n" + text)


class Index:
    """The index of a results folder; since: how many bytes of each file to skip, by its name."""

    def __init__(self, results: Path, since: Mapping[str, int] | None = None) -> None:
        self._folder, self._runs = results / ".index", str(results / "runs")
        self._read = dict(since or {})

    @classmethod
    def from_now(cls, results: Path, since: Mapping[str, int] | None = None) -> Index:
        """Return the index without its present lines; if `since` is given, without those of that moment."""
        return cls(results, cls(results).sizes() if since is None else since)

    def append(self, kind: bytes, run_id: str, facts: Any) -> None:
        """Append one line in one write; errors are ignored, because lines are only hints."""
        self.append_all([Line(kind, run_id, facts)])

    def append_all(self, lines: Sequence[Line]) -> None:
        """Append lines in one write."""
        with suppress(OSError):
            descriptor = self._open()
            try:
                os.write(descriptor, text_of(lines))
            finally:
                os.close(descriptor)

    def _open(self) -> int:
        if self._folder.is_symlink():  # it may lead to someone else's files
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(self._folder))
        path = f"{self._folder}/{host()}.log"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # without waiting on a pipe
        try:
            return os.open(path, flags, 0o666)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o666)

    def stamp_of(self, run_id: str) -> Stamp | None:
        """Return size and time of a run's record, None if there is none or it cannot be reached."""
        try:
            facts = os.stat(f"{self._runs}/{run_id}/record.json")  # noqa: PTH116 - Path costs time
        except OSError:
            return None
        return facts.st_size, facts.st_mtime_ns

    def sizes(self) -> dict[str, int]:
        """Return the present size of each file by its name."""
        return {entry.name: entry.stat().st_size for entry in self._files()}

    def news(self) -> Iterator[Event]:
        """Yield the complete lines that are new since the last call."""
        for text in self.texts():
            yield from events_in(text)

    def texts(self) -> Iterator[bytes]:
        """Yield the complete lines that are new since the last call, file by file."""
        for entry in self._files():
            seen = self._read.get(entry.name, 0)
            try:
                if entry.stat().st_size <= seen:
                    continue
                with open_file(entry.path, most=None) as file:
                    file.seek(seen)
                    new = file.read()
            except OSError:
                continue
            whole = new.rfind(b"\n") + 1
            self._read[entry.name] = seen + whole
            yield new[:whole]

    def _files(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder) as found:
                return [file for file in found if file.name.endswith(".log") and file.is_file(follow_symlinks=False)]
        except OSError:
            return []
