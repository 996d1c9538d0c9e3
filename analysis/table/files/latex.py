"""Tables in LaTeX: the rows of the one tabular in a source, without rules and markup."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from analysis.errors import UserError

TABULAR = re.compile(r"\\begin\{(tabular[*xy]?|longtable)\}(.*?)\\end\{\1\}", re.DOTALL)
COMMENT = re.compile(r"(?<!\\)((?:\\\\)*)%.*")
RULE = re.compile(
    r"\\(?:(?:top|mid|bottom)rule|hline|addlinespace|cline|cmidrule)\b(?:\([lr]*\)|\[[^\]]*\]|\{[^{}]*\})*"
    r"|\\(?:caption|label)(?:\[[^\]]*\])?\{(?:[^{}]|\{[^{}]*\})*\}"
)
"""A rule, or a caption or label, which may stand in a longtable."""
PAGE = re.compile(r"\\end(?:firsthead|head|foot|lastfoot)\b")
"""The end of a head or foot of a longtable's pages; the first is the table's head."""
SPAN = re.compile(r"\\multicolumn\{(\d+)\}\{[^{}]*\}")
SEVERAL = re.compile(r"\\multirow(?:\[\w*\])?\{(\d+)\}")
WRAPPED = re.compile(r"\\(?:text\w*|math\w*|emph|underline|num|multirow(?:\[\w*\])?\{[^{}]*\}\{[^{}]*\})\{([^{}]*)\}")
"""Text in a font, a number in a form, or a cell of several rows."""
COLOUR = re.compile(r"\\(?:cell|row|text)?color(?:\[\w*\])?\{[^{}]*\}")
DEVIATION = re.compile(r"_?\{\s*(±[^{}]*)\}")
"""A deviation in small letters or as an index."""
SIGNS = {
    r"\%": "%",
    r"\_": "_",
    r"\&": "&",
    r"\#": "#",
    r"\$": "",
    r"\pm": "±",
    "{,}": ",",
    r"\,": " ",
    r"\ ": " ",
    "~": " ",
    "$": "",
}
KEPT = r"\\(?!times\b|cdot\b)[A-Za-z]+\*?"
"""A command without a value, such as an arrow; a sign of multiplication is part of a number."""


def is_latex(text: str) -> bool:
    """Tell whether a text has a LaTeX table."""
    return r"\begin{" in text and TABULAR.search(text) is not None


def latex_rows(text: str) -> str:
    """Return the rows of the tabular in a LaTeX source as tab-separated lines. Raises `UserError` unless it has one."""
    found = list(TABULAR.finditer(COMMENT.sub(r"\1", text)))
    if len(found) != 1:
        raise UserError(f"found {len(found)} tabulars in the LaTeX; wanted one; save the one you mean alone")
    kind, body = found[0].groups()
    head, *pages = PAGE.split(_without_groups(RULE.sub("", body), 1 + (kind[-1] in "*xy")))
    rows = _with_one_head(list(_rows(head + "".join(pages[-1:]))))
    written = io.StringIO()
    csv.writer(written, delimiter="\t", lineterminator="\n").writerows(rows)
    return written.getvalue()


def _with_one_head(rows: list[list[str]]) -> list[list[str]]:
    """Return rows with the first two as one if each column is named in one of them, as where pandas wrote an index."""
    pairs = list(zip(*rows[:2], strict=False))
    if len(rows) > 1 and all(bool(upper) != bool(lower) for upper, lower in pairs):
        return [[upper or lower for upper, lower in pairs], *rows[2:]]
    return rows


def _rows(body: str) -> Iterator[list[str]]:
    """Yield the cells of each row; a cell of several rows stands in each of them."""
    down: dict[int, tuple[int, str]] = {}  # by column: rows left, and what stands there
    for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\tabularnewline", body):
        if not row.strip():
            continue
        cells: list[str] = []
        for part in re.split(r"(?<!\\)&", row):
            several, own = SEVERAL.search(part), _cells(part)
            if several:
                down[len(cells)] = (int(several[1]), own[0])
            cells += own
        for i, (left, text) in list(down.items()):
            if left > 0 and i < len(cells):
                cells[i] = cells[i] or text
                down[i] = (left - 1, text)
        yield cells


def _without_groups(body: str, count: int) -> str:
    """Return the body of a tabular without its first groups in braces, which declare its width and columns."""
    for _ in range(count):
        start, depth = body.find("{"), 0
        for i in range(max(start, 0), len(body)):
            depth += (body[i] == "{") - (body[i] == "}")
            if depth == 0:
                body = body[i + 1 :]
                break
    return body


def _cells(text: str) -> list[str]:
    """Return a cell as plain text, and empty ones for the other columns that it spans."""
    span = SPAN.search(text)
    text, before = COLOUR.sub("", SPAN.sub("", text)), ""
    while before != text:
        before, text = text, WRAPPED.sub(r"\1", text)
    for sign, plain in SIGNS.items():
        text = text.replace(sign, plain)
    text = DEVIATION.sub(r" \1", re.sub(KEPT, "", text)).strip()
    text = text.removeprefix("{").removesuffix("}") if text.startswith("{") else text
    return [" ".join(text.split()), *[""] * (int(span[1]) - 1 if span else 0)]
