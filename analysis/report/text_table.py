"""A small table of text, written as Markdown, LaTeX or handed to the report's page."""

from __future__ import annotations

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
    """Cells as they are to be read. right: the columns of numbers; note: one sentence below."""

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


def write_tables(tables: Sequence[TextTable], folder: Path) -> None:
    """Write FOLDER/NAME.md and .tex for each table."""
    if tables:
        folder.mkdir(parents=True, exist_ok=True)
    for table in tables:
        (folder / f"{table.name}.md").write_text(table.markdown(), encoding="utf-8")
        (folder / f"{table.name}.tex").write_text(table.latex(), encoding="utf-8")


def _line(cells: Sequence[str]) -> str:
    return " & ".join(map(_escaped, cells)) + r" \\"


def _escaped(text: str) -> str:
    text = re.sub(r"[&%_#±×−–~^]", lambda match: LATEX[match[0]], text)
    return re.sub(f"[{SUPERSCRIPTS}]+", lambda match: f"$^{{{match[0].translate(LOWERED)}}}$", text)
