"""A small text table, written as CSV, Markdown or LaTeX or passed to the report's page."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.numbers import LOWERED, SUPERSCRIPTS

LATEX = {
    **{mark: rf"\{mark}" for mark in "&%_#"},
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": "$-$",
    "–": "--",
    "~": r"$\sim$",
    "^": r"\^{}",
}


@dataclass(frozen=True)
class TextTable:
    """A table of formatted cells. right: numeric (right-aligned) columns; note: one sentence below."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[int, ...] = ()
    note: str = ""

    def markdown(self) -> str:
        """Return the table as GitHub's Markdown."""
        rule = ["---:" if i in self.right else "---" for i in range(len(self.columns))]
        lines = [self.columns, rule, *([cell.replace("|", r"\|") for cell in row] for row in self.rows)]
        text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"**{self.title}.** {self.note}".rstrip() + f"\n\n{text}\n"

    def latex(self) -> str:
        """Return the table as LaTeX (booktabs)."""
        spec = "".join("r" if i in self.right else "l" for i in range(len(self.columns)))
        lines = [r"\begin{table}", r"\centering", rf"\begin{{tabular}}{{{spec}}}", r"\toprule", _line(self.columns)]
        lines += [r"\midrule", *map(_line, self.rows), r"\bottomrule", r"\end{tabular}"]
        caption = _escaped(f"{self.title}. {self.note}".strip())
        return "\n".join([*lines, rf"\caption{{{caption}}}", rf"\label{{tab:{self.name}}}", r"\end{table}", ""])

    def csv(self) -> str:
        """Return the table as CSV with machine-readable numbers; ± and intervals are split into columns."""
        parts = [_split(name, [row[i] for row in self.rows]) for i, name in enumerate(self.columns)]
        written = io.StringIO()
        lines = csv.writer(written, lineterminator="\n")
        lines.writerow([name for part in parts for name, _ in part])
        lines.writerows(zip(*(cells for part in parts for _, cells in part), strict=True))
        return written.getvalue()

    def texts(self) -> dict[str, str]:
        """Return the table in each format for copying."""
        return {"CSV": self.csv(), "Markdown": self.markdown(), "LaTeX": self.latex()}


def write_tables(tables: Sequence[TextTable], folder: Path) -> None:
    """Write FOLDER/NAME.csv, .md and .tex for each table."""
    folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (folder / f"{table.name}.csv").write_text(table.csv(), encoding="utf-8")
        (folder / f"{table.name}.md").write_text(table.markdown(), encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(table.latex(), encoding="utf-8")


NUMBER = r"[−+]?[\d,]*\.?\d+(?:×10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)?|[−+]?10[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+"
INTERVAL = re.compile(rf"^({NUMBER})? ?\[({NUMBER}), ({NUMBER})\]$")
SPREAD = re.compile(rf"^({NUMBER}) ± ({NUMBER})$")


def _split(name: str, cells: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Split a column into value and deviation, or value and interval ends; else return it unchanged."""
    for pattern, names in ((SPREAD, ("", " sd")), (INTERVAL, ("", " low", " high"))):
        found = [pattern.match(cell) for cell in cells]
        if any(found):
            blank = [""] * (len(names) - 1)
            rows = [
                [_plain_number(part or "") for part in match.groups()] if match else [_plain_number(cell), *blank]
                for match, cell in zip(found, cells, strict=True)
            ]
            return [(f"{name}{end}", list(column)) for end, column in zip(names, zip(*rows, strict=True), strict=True)]
    return [(name, [_plain_number(cell) for cell in cells])]


def _plain_number(cell: str) -> str:
    """Convert a written number to machine-readable form, 2×10⁸ to 2e8; other text is unchanged."""
    if not re.fullmatch(NUMBER, cell):
        return cell
    text = cell.replace(",", "").replace("−", "-").replace("×10", "e")
    text = re.sub(rf"^([-+]?)10(?=[{SUPERSCRIPTS}])", r"\g<1>1e", text)
    return text.translate(LOWERED)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"


def _escaped(text: str) -> str:
    text = re.sub(r"[&%_#±×−–~^]", lambda match: LATEX[match[0]], text)
    return re.sub(f"[{SUPERSCRIPTS}]+", lambda match: f"$^{{{match[0].translate(LOWERED)}}}$", text)
