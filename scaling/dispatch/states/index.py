"""What has happened to the runs of a results folder: results/.index, one file a machine, only ever appended to.

So that nobody has to open a hundred thousand records to know which runs are settled, taken or spent. Lines are hints:
records and claims stay the truth, and a line that is lost or cut costs one look at them. No machine appends to
another's file, for a file server may let one such line overwrite the other.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from scaling.dispatch.process import host

SETTLED, CLAIMED, DROPPED, TRIED, FAILED = b"s", b"c", b"d", b"t", b"f"
LINE = re.compile(rb"([scdtf]) (\S+) ([\[{].*[\]}])")


Stamp = tuple[int, int]  # size and time of a record's file (ns)


class Event(NamedTuple):
    """One line: its kind, the run, and the rest as JSON.

    SETTLED: what a record says (see settled.py); CLAIMED: a worker has begun; DROPPED: it has let go without an
    attempt; TRIED: an attempt has ended; FAILED: its tries are used up in the dispatch that is named.
    """

    kind: bytes
    run_id: str
    facts: bytes

    def read(self) -> Any:
        """Return the facts."""
        return json.loads(self.facts)


def stamp_in(event: Event) -> Stamp:
    """Return which file a line of a settled run was made of."""
    size, time = event.facts[1:].split(b",", 2)[:2]
    return int(size), int(time.rstrip(b"]"))


class Index:
    """The index of a results folder; since: how many bytes of each file are passed over, by its name."""

    def __init__(self, results: Path, since: Mapping[str, int] | None = None) -> None:
        self._folder, self._runs = results / ".index", str(results / "runs")
        self._read = dict(since or {})

    def append(self, kind: bytes, run_id: str, facts: Any) -> None:
        """Append one line, in one write; what cannot be written is left out, for it is but a hint."""
        self.append_all([(kind, run_id, facts)])

    def append_all(self, lines: list[tuple[bytes, str, Any]]) -> None:
        """Append lines, in one write."""
        text = b"".join(
            b"%s %s %s\n" % (kind, run_id.encode(), json.dumps(facts, separators=(",", ":")).encode())
            for kind, run_id, facts in lines
        )
        with suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
            descriptor = os.open(self._folder / f"{host()}.log", flags, 0o666)
            try:
                os.write(descriptor, text)
            finally:
                os.close(descriptor)

    def stamp_of(self, run_id: str) -> Stamp | None:
        """Return size and time of a run's record as it is now, None where there is none."""
        try:
            facts = os.stat(f"{self._runs}/{run_id}/record.json")  # noqa: PTH116 - Path costs time
        except (FileNotFoundError, NotADirectoryError):
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
        for entry in self._files():
            seen = self._read.get(entry.name, 0)
            try:
                if entry.stat().st_size <= seen:
                    continue
                with open(entry.path, "rb") as file:  # noqa: PTH123 - Path costs time
                    file.seek(seen)
                    new = file.read()
            except OSError:
                continue
            whole = new.rfind(b"\n") + 1
            self._read[entry.name] = seen + whole
            for line in new[:whole].split(b"\n"):
                found = LINE.fullmatch(line)
                if found is not None:
                    yield Event(found[1], found[2].decode(errors="replace"), found[3])

    def _files(self) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self._folder) as found:
                return [file for file in found if file.name.endswith(".log") and file.is_file(follow_symlinks=False)]
        except OSError:
            return []
