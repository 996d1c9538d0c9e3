"""What went wrong with a job, in a file beside its log; read without what a job needs to run."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from scaling.security.rights import kept_to_oneself


def trouble_file(folder: Path, job: str) -> Path:
    """Return the file in which a job says what went wrong with it, a line each; not there where nothing did."""
    return folder / f"{job}_trouble.txt"


def tell(folder: Path, job: str, lines: list[str]) -> None:
    """Say what went wrong with a job, for those who look on; what cannot be written stays in its log."""
    with suppress(OSError), kept_to_oneself():
        trouble_file(folder, job).write_text("\n".join(lines) + "\n", encoding="utf-8")
