"""Text tables (csv and similar) in any encoding, with any separator, decimal commas, titles and comments."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.errors import UserError
from analysis.table.files.header import (
    LOOK,
    column_names,
    header_row,
    is_words,
    named_by_levels,
    number_repeats,
    with_units,
)
from analysis.table.recognise.statuses import plain_name
from analysis.table.recognise.written_numbers import are_thousands
from analysis.table.remarks import with_remarks
from analysis.wording import counted

WORDS = ("run_id", "lr_rule", "batch_rule", "overrides", "flags")
"""Our columns that stay text although they may look like numbers."""
VERSION = re.compile(r"(^|_)(version|revision|release)($|_)")
"""Names of columns of labels that may look like numbers."""
SEPARATORS = ("\t", ";", ",", "|")
SPACES = (r"\s{2,}", r"\s+")
SEPARATOR_LINE = re.compile(r"\s*sep=(.)\s*")
"""A first line in which spreadsheets declare the separator."""
RULE = re.compile(r"[\s|:+=-]*[|+-][\s|:+=-]*")
"""A rule line, as below the header of a Markdown table."""
UNDERLINES = re.compile(r"\s*(--+|==+)(\s+(--+|==+))*\s*")
"""A rule line of a table without bars."""
DRAWN = {
    code: "|" if chr(code) in "│┃║┆┇┊┋╎╏" else "-" if chr(code) in "─━═┄┅┈┉╌╍" else "+"
    for code in range(0x2500, 0x2580)
}
"""Characters with which terminals draw tables, as bars, dashes and corners."""
POINTS = re.compile(r"[-+]?[1-9]\d{0,2}(\.\d{3})+")
"""A number with points as thousands separators."""
COMMA = re.compile(r"[-+]?[\d.]*,\d+([eE][-+]?\d+)?")
"""A number with a decimal comma."""


def decode(content: bytes) -> str:
    """Decode text: UTF-8, UTF-16 (by its mark, or every second byte zero), else Latin-1."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    if b"\x00" in content[:200]:
        return content.decode("utf-16-le" if content[1:2] == b"\x00" else "utf-16-be")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("latin-1")


def read_text(text: str, kind: str) -> pd.DataFrame:
    """Read lines of values. Lines that begin with # are comments, unless all lines below the header do.

    Raises `UserError` where names and values do not match.
    """
    lines, comments, later = _lines(text)
    lines = [line for line in lines if line.strip()]
    if not lines:
        raise pd.errors.EmptyDataError("no line of column names")
    declared = SEPARATOR_LINE.fullmatch(lines[0])
    separator = declared[1] if declared else _separator(lines[:LOOK], kind)
    lines = lines[1:] if declared else lines
    rows = _split(lines[: LOOK * 2], separator)
    if comments and not is_words(rows[0]):  # numpy.savetxt: # N D loss
        head = _split([comments[-1].lstrip("# ")], separator)[0]
        if is_words(head) and len(head) == len(rows[0]):
            rows, lines = [head, *rows], [comments[-1], *lines]
    head, below = named_by_levels(rows)
    if not head:
        top = header_row(rows)
        head, units = with_units(rows[top], rows[top + 1 :])
        below = top + 1 + units
    names = number_repeats(column_names(head, rows[below:]))
    table = _values(lines[below:], names, separator, rows[below:])
    remark = f"{counted(later, 'line')} below the head begin with # and are left out"
    return with_remarks(table, *([remark] if later else []))


def _lines(text: str) -> tuple[list[str], list[str], int]:
    """Return the lines of the table, the comments above it, and the number of comments left out below its header."""
    text = text if text.isascii() else text.translate(DRAWN)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    marked = [line.lstrip().startswith("#") for line in lines]
    if not any(marked):
        return _drawn(lines), [], 0
    first = next((i for i, mark in enumerate(marked) if lines[i].strip() and not mark), len(lines))
    above = [line for line in lines[:first] if line.strip()]
    below = [i for i in range(first + 1, len(lines)) if lines[i].strip()]
    if below and all(marked[i] for i in below):  # names such as #3 in the first column
        return lines[first:], above, 0
    kept = [line for line, mark in zip(lines[first:], marked[first:], strict=True) if not mark]
    return _drawn(kept), above, sum(marked[i] for i in below)


def _drawn(lines: list[str]) -> list[str]:
    """Return the lines without leading empty ones and rules; of a table drawn with bars, its rows without outer bars.

    Raises `UserError` where the text holds several such tables.
    """
    first = next((i for i, line in enumerate(lines) if line.strip()), len(lines))
    bars = [line.lstrip().startswith(("|", "+-", "+=")) for line in lines]
    heads = [i for i, bar in enumerate(bars) if bar and not (i and bars[i - 1])]
    if not heads or (heads[0] > first and not any(map(RULE.fullmatch, lines[heads[0] : heads[0] + 2]))):
        return [line for line in lines[first:] if not UNDERLINES.fullmatch(line)]
    if len(heads) > 1:
        raise UserError(f"found {len(heads)} tables in the text; wanted one; save the one you mean alone")
    return [line.strip().strip("|") for line, bar in zip(lines, bars, strict=True) if bar and not RULE.fullmatch(line)]


def _separator(lines: Sequence[str], kind: str) -> str:
    """Return the separator: the character with an equal count in most lines, else white space."""
    if kind == "tsv" and "\t" in lines[0]:
        return "\t"
    outside = ["".join(part for i, part in enumerate(line.split('"')) if i % 2 == 0) for line in lines if line.strip()]
    best, score = ",", (0, 0)
    for sign in SEPARATORS:
        counts = [line.count(sign) for line in outside]
        usual, lines_so = Counter(count for count in counts if count).most_common(1)[0] if any(counts) else (0, 0)
        if (lines_so, usual) > score and (counts[0] or lines_so > 1):
            best, score = sign, (lines_so, usual)
    if score[0]:
        return best
    for spaces in SPACES:
        lengths = [len(re.split(spaces, line.strip())) for line in outside]
        if lengths[0] > 1 and len(set(lengths[1:])) <= 1 and lengths[-1] - lengths[0] in (0, 1):
            return spaces
    return ","


def _split(lines: Sequence[str], separator: str) -> list[list[str]]:
    """Return the cells of the first lines."""
    if separator in SPACES:
        if '"' in "".join(lines):
            return [row for row in csv.reader(lines, delimiter=" ", skipinitialspace=True) if row]
        return [re.split(separator, line.strip()) for line in lines if line.strip()]
    return [row for row in csv.reader(lines, delimiter=separator, skipinitialspace=True) if row]


def _values(lines: list[str], names: list[str], separator: str, rows: list[list[str]]) -> pd.DataFrame:
    """Read the lines below the header."""
    decimal, thousands = _signs(rows, separator) if separator != "," else (".", None)
    words: dict[Any, type[str]] = {name: str for name in names if name in WORDS or VERSION.search(plain_name(name))}
    table = pd.read_csv(
        io.StringIO("\n".join(lines)),
        sep=separator,
        names=names,
        header=None,
        index_col=False,
        dtype=words,
        decimal=decimal,
        thousands=thousands,
        skipinitialspace=True,
        engine="python" if separator == SPACES[0] else "c",
    )
    for name in words.keys() - set(WORDS):
        numbers = pd.to_numeric(table[name], errors="coerce")
        if numbers.map(str).eq(table[name].map(str)).all():  # 1.1 and 1.10 are two versions
            table[name] = numbers
    example = "1.234,5 is 1234.5" if thousands else "1,5 is 1.5"
    return with_remarks(table, *([f"numbers are read with decimal commas: {example}"] if decimal == "," else []))


def _signs(rows: Sequence[Sequence[str]], separator: str) -> tuple[str, str | None]:
    """Return the decimal and thousands separators: 3,14 and 1.234.567 where no number has a decimal point.

    With semicolons between values a comma is decimal; otherwise commas that all precede three digits are separators.
    """
    cells = [cell.strip() for row in rows for cell in row]
    with_comma = [cell for cell in cells if COMMA.fullmatch(cell)]
    commas = bool(with_comma) and not (separator != ";" and are_thousands(with_comma))
    points = [cell for cell in cells if "." in cell and re.fullmatch(r"[-+]?[\d.,]+([eE][-+]?\d+)?", cell)]
    if commas and all(POINTS.fullmatch(cell.partition(",")[0]) for cell in points):
        return ",", "." if points else None
    return ".", None
