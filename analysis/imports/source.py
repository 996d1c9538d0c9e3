"""The source of an import: a table or a folder of W&B runs, its digest, and the line of each row."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.imports.wandb import find_runs, read_runs
from analysis.table.files.read_file import PACKED, kind_of
from analysis.table.files.text import SEPARATORS, decode
from analysis.table.read import read_table

TEXTS = ("csv", "tsv", "txt", "jsonl")
"""Kinds of files with one line for each row."""
MANY = 5
"""Maximum number of lines that an error lists."""


@dataclass(frozen=True)
class Source:
    """A table that was read; lines: the line of each row in the file (None: errors give row numbers instead)."""

    name: str
    sha256: str
    table: pd.DataFrame
    lines: tuple[int, ...] | None

    def place(self, row: int) -> int:
        """Return the line of a row, or its number if the file has no lines."""
        return row + 1 if self.lines is None else self.lines[row]

    def places(self, rows: list[int]) -> str:
        """Name rows by their lines: "lines 3, 7 and 9"."""
        word, found = ("row" if self.lines is None else "line"), [f"{self.place(row):,}" for row in rows]
        if len(found) == 1:
            return f"{word} {found[0]}"
        if len(found) > MANY:
            return f"{word}s {', '.join(found[:MANY])} and {len(found) - MANY:,} more"
        return f"{word}s {', '.join(found[:-1])} and {found[-1]}"


def read_source(path: Path) -> Source:
    """Read a table, or the W&B runs in a folder; `UserError` for anything else, such as a sweep of ours."""
    if (path / "plan.csv").is_file():
        raise UserError(
            f"found {path}, a sweep of ours; wanted a table of runs trained elsewhere; `scaling collect` writes its "
            f"table"
        )
    if path.is_dir():
        runs = find_runs(path)
        files = [(file.relative_to(path).as_posix(), file.read_bytes()) for run in runs for file in run.files]
        return Source(path.resolve().name, _digest_of(files), read_runs(runs), None)
    table = read_table(path)
    content = path.read_bytes()
    return Source(path.name, hashlib.sha256(content).hexdigest(), table, _lines(path, content, len(table)))


def _digest_of(files: list[tuple[str, bytes]]) -> str:
    whole = hashlib.sha256()
    for name, content in files:
        whole.update(f"{name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return whole.hexdigest()


def _lines(path: Path, content: bytes, rows: int) -> tuple[int, ...] | None:
    """Return the line on which each row begins; None for a file without lines, or with another number of rows."""
    kind = kind_of(path.name)
    if kind not in TEXTS:
        return None
    text = decode(PACKED.get(path.name.lower().rpartition(".")[2], bytes)(content))
    begun = [number for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    found = begun if kind == "jsonl" else _lines_of_csv(text)
    return tuple(found) if len(found) == rows else None


def _lines_of_csv(text: str) -> list[int]:
    """Return the lines on which the rows below the header begin, without comments, empty lines and quoted lines."""
    lines = text.splitlines()
    numbers = [n for n, line in enumerate(lines, 1) if line.strip() and not line.lstrip().startswith("#")]
    reader = csv.reader(lines[n - 1] for n in numbers)
    begins, before = [], 0
    for row in reader:
        if any(value.strip("".join(SEPARATORS) + " ") for value in row):
            begins.append(numbers[before])
        before = reader.line_num
    return begins[1:]
