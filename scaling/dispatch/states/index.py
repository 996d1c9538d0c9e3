"""What has happened to the runs of a results folder: results/.index, one file a machine, only ever appended to.

So that nobody has to open a hundred thousand records to know which runs are settled, taken or spent. Lines are hints:
records and claims stay the truth, and a line that is lost or cut costs one look at them. No machine appends to
another's file, for a file server may let one such line overwrite the other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from scaling.dispatch.process import host
from scaling.security.reading import open_file

SETTLED, CLAIMED, DROPPED, TRIED, FAILED = b"s", b"c", b"d", b"t", b"f"
KINDS = frozenset((SETTLED, CLAIMED, DROPPED, TRIED, FAILED))
# Of a text with a new line before it, which is far faster than ^; sizes and times have no more digits than these.
SETTLED_LINE = re.compile(r"\ns (\S+) \[(\d{1,20},\d{1,20})[,\]]")
OTHER_LINE = re.compile(r'\n([cdtf]) (\S+) \{"(?:token|in)":"([^"\n]*)"')


Stamp = tuple[int, int]  # size and time of a record's file (ns)


class Line(NamedTuple):
    """One line that is written; see Event."""

    kind: bytes
    run_id: str
    facts: Any


class Event(NamedTuple):
    """One line that was read: its kind, the run, and the rest as JSON.

    SETTLED: what a record says (see settled.py); CLAIMED: a worker has begun; DROPPED: it has let go without an
    attempt; TRIED: an attempt has ended; FAILED: its tries are used up in the dispatch that is named.
    """

    kind: bytes
    run_id: str
    facts: bytes

    def read(self) -> Any:
        """Return the facts."""
        return json.loads(self.facts)


def text_of(lines: Sequence[Line]) -> bytes:
    """Return lines as they are written."""
    return b"".join(
        b"%s %s %s\n" % (kind, run_id.encode(), json.dumps(facts, separators=(",", ":")).encode())
        for kind, run_id, facts in lines
    )


def events_in(text: bytes) -> Iterator[Event]:
    """Yield the lines of a text that are whole."""
    for line in text.split(b"\n"):
        parts = line.split(b" ", 2)
        if len(parts) == 3 and parts[0] in KINDS and parts[2][-1:] in (b"]", b"}"):
            yield Event(parts[0], parts[1].decode(errors="replace"), parts[2])


def settled_in(text: str) -> dict[str, str]:
    """Return the runs that lines call settled, with "size,time" of their records: fast, for there may be millions."""
    return dict(SETTLED_LINE.findall("\n" + text))


def others_in(text: str) -> list[tuple[str, str, str]]:
    """Return kind, run, and claim (of FAILED: dispatch) of all other lines."""
    return OTHER_LINE.findall("\n" + text)


class Index:
    """The index of a results folder; since: how many bytes of each file are passed over, by its name."""

    def __init__(self, results: Path, since: Mapping[str, int] | None = None) -> None:
        self._folder, self._runs = results / ".index", str(results / "runs")
        self._read = dict(since or {})

    def append(self, kind: bytes, run_id: str, facts: Any) -> None:
        """Append one line, in one write; what cannot be written is left out, for it is but a hint."""
        self.append_all([Line(kind, run_id, facts)])

    def append_all(self, lines: Sequence[Line]) -> None:
        """Append lines, in one write."""
        with suppress(OSError):
            descriptor = self._open()
            try:
                os.write(descriptor, text_of(lines))
            finally:
                os.close(descriptor)

    def _open(self) -> int:
        path = f"{self._folder}/{host()}.log"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK  # nor wait for a pipe's reader
        try:
            return os.open(path, flags, 0o666)
        except FileNotFoundError:
            self._folder.mkdir(parents=True, exist_ok=True)
            return os.open(path, flags, 0o666)

    def stamp_of(self, run_id: str) -> Stamp | None:
        """Return size and time of a run's record as it is now, None where there is none within reach."""
        try:
            facts = os.stat(f"{self._runs}/{run_id}/record.json")  # noqa: PTH116 - Path costs time
        except OSError:
            return None
        return facts.st_size, facts.st_mtime_ns

    def sizes(self) -> dict[str, int]:
        """Return how long each file is now."""
        return {entry.name: entry.stat().st_size for entry in self._files()}

    def pass_over(self) -> None:
        """Take all that is there for read."""
        self._read = self.sizes()

    def news(self) -> Iterator[Event]:
        """Yield the whole lines that have come since the last call."""
        for text in self.texts():
            yield from events_in(text)

    def texts(self) -> Iterator[bytes]:
        """Yield the whole lines that have come since the last call, file by file."""
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
