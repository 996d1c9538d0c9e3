"""Report the trouble of a job in a file beside its log, which can be read without importing the job's code."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from scaling.security.rights import owner_only


def trouble_file(folder: Path, job: str) -> Path:
    """Return the file in which a job reports trouble, one sentence a line; it is missing if there was none."""
    return folder / f"{job}_trouble.txt"


def report_trouble(folder: Path, job: str, lines: list[str]) -> None:
    """Write the trouble of a job to its file; if that fails, it is still in the log."""
    with suppress(OSError), owner_only():
        trouble_file(folder, job).write_text("\n".join(lines) + "\n", encoding="utf-8")
