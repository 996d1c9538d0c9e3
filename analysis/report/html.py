"""The page of a report: one self-contained HTML file."""

from __future__ import annotations

import base64
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.equation import as_html, equation, without_markup
from analysis.fitting.card import signed_rows
from analysis.fitting.display.plain import plain
from analysis.numbers import count, entry, exponent, flops, interval, measured, number, percent, shift, times
from analysis.report.charts.curves import curves_of
from analysis.report.drawing import Picture
from analysis.report.headlines import SIZE, answer, headlines, tuned_headlines
from analysis.report.law_results import GroupResults, LawResult
from analysis.report.sections import Sections, anchor
from analysis.report.summary import conventions, is_from_scaling, summarise, versions
from analysis.report.tables.law_tables import suffix_of
from analysis.report.tables.run_table import RunTable
from analysis.report.tables.text_table import TextTable
from analysis.table.select import OWN_TASK
from analysis.wording import counted

NUMBERS = re.compile(r"\d[\d.,]*(×10)?[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]*")


@dataclass(frozen=True)
class Contents:
    """The contents of a page.

    title: name of the source. called: the table in the page's commands. command: makes the report again. tuned: figures
    of tuning runs. ran: of the runs themselves. curves: their learning curves. tables: all tables that can be copied.
    """

    table: pd.DataFrame
    source: Path
    title: str
    called: str
    command: str
    sections: Sections
    tuned: tuple[Picture, ...]
    ran: tuple[Picture, ...]
    runs: RunTable
    curves: pd.DataFrame
    tables: tuple[TextTable, ...]
    level: float

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Return all figures."""
        return (*self.sections.pictures, *self.tuned, *self.ran)

    @property
    def data(self) -> str:
        """Return the data of the page's script as JSON that is safe inside HTML."""
        content = {
            "charts": {picture.name: picture.charts for picture in self.pictures if picture.charts},
            "runs": self.runs.to_dict(),
            "curves": curves_of(self.curves),
            "tables": {table.name: table.texts() for table in self.tables},
        }
        text = json.dumps(plain(content), separators=(",", ":"), ensure_ascii=False)
        return text.replace("<", "\\u003c")


def render(page: Contents) -> str:
    """Return the page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("analysis.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"embed": _embed, "anchor": anchor, "unbroken": _unbroken, "counted": counted}
    written = (count, entry, exponent, flops, interval, measured, number, percent, shift, times)
    environment.globals |= {write.__name__: write for write in written}
    table, source, sections = page.table, page.source, page.sections
    summary = summarise(table, source if source.is_dir() else source.parent)
    responses = [y for y in ("loss", "error") if y in table.columns and table[y].notna().any()]
    of_stages = any(section.task not in ("", OWN_TASK) for section in sections.tasks)
    return environment.get_template("report.html").render(
        **vars(page),
        summary=summary,
        told={f"{counted(n, 'run')} {word}" for word, n in summary.counts.items()},
        headlines=(found := headlines(sections.groups) or tuned_headlines(table)),
        answer=answer(found),
        sized=[line for line in found if line.status and line.what in SIZE],
        conventions=conventions(table, responses, stages=of_stages),
        ours=is_from_scaling(table),
        law_rows=lambda group: [law_row(result) for result in group.laws if result.slice is None],
        slice_tables=_slice_tables,
        options=[result.options for group in sections.groups for result in group.laws],
        suffix=lambda group: suffix_of(group, sections.groups),
        data=page.data,
        alt=_alt_text,
        commands=[*([summary.command] if summary.command else []), page.command],
        versions=versions(),
    )


def _unbroken(text: str) -> str:
    """Keep each interval of a text on one line."""
    return re.sub(r"\[[^\]]*\]", lambda found: found[0].replace(" ", "\N{NO-BREAK SPACE}"), text)


def _embed(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def _alt_text(picture: Picture) -> str:
    """Return the alternative text of a figure."""
    axes = [
        f"{chart['y']['label']} ({_scale(chart['y'])}) against {chart['x']['label']} ({_scale(chart['x'])})"
        for chart in picture.charts[:2]
    ]
    text = without_markup("; ".join(dict.fromkeys(axes)))
    return f"{picture.title}{': ' + text if text else ''}. {picture.caption}"


def _scale(axis: dict[str, Any]) -> str:
    ends = [end for end in axis["ends"] if end is not None]
    return f"{'logarithmic' if axis['log'] else 'linear'}, {' to '.join(map(number, ends))}"


def law_row(result: LawResult) -> dict[str, Any]:
    """Return one result's row of the page's table of laws."""
    fit = result.fit
    row: dict[str, Any] = {"title": result.title, "law": result.law}
    if fit is None:
        return {**row, "status": "refused", "equation": "", "params": [], "n": 0, "notes": [result.refusal]}
    reasons = fit.certificate.reasons
    others = [text for text in fit.warnings if not any(reason in text for reason in reasons)]
    return {
        **row,
        "status": result.status,
        "equation": as_html(equation(fit, result.x or "")),
        "params": signed_rows(fit),
        "n": fit.n_points,
        "notes": [*reasons, fit.certificate.backtest, *others, *result.remarks],
    }


def _slice_tables(group: GroupResults) -> list[dict[str, Any]]:
    """Return the laws of slices as compact tables, one per response and variable."""
    tables = []
    for y, x in dict.fromkeys((result.y, str(result.x)) for result in group.laws if result.slice):
        laws: list[dict[str, Any]] = []
        by_slice: dict[int, dict[str, Any]] = {}
        for result in group.laws:
            if result.slice and (result.y, result.x) == (y, x):
                laws.append(law_row(result))
                by_slice.setdefault(id(result.slice), {"at": result.slice.words or "all runs"})[result.law] = laws[-1]
        tables.append({"title": f"{y} in {x}", "rows": list(by_slice.values()), "notes": _tally(laws)})
    return tables


def _tally(laws: Sequence[dict[str, Any]]) -> list[str]:
    """Return each warning with the number of laws that have it, whatever numbers it contains."""
    found: dict[tuple[str, str], list[str]] = {}
    total = Counter(row["law"] for row in laws)
    for row in laws:
        texts = dict.fromkeys(re.sub(r" \([^)]*\)", "", text) for text in row["notes"])
        for kind, text in {NUMBERS.sub("", text): text for text in texts}.items():
            found.setdefault((row["law"], kind), []).append(text)
    return [
        f"{law}, {len(texts)} of {total[law]}{' (numbers of the first)' if len(set(texts)) > 1 else ''}: {texts[0]}"
        for (law, _), texts in found.items()
    ]
