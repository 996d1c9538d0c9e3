"""The page of a report: one self-contained file of HTML."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.figures.equation import as_html, equation
from analysis.fitting.card import parameter_rows
from analysis.numbers import count, entry, exponent, flops, interval, measured, percent, shift, times
from analysis.report.drawing import Picture
from analysis.report.headlines import headlines
from analysis.report.law_results import GroupResults, LawResult
from analysis.report.sections import Sections, anchor
from analysis.report.summary import conventions, summarise, versions
from analysis.table.select import OWN_TASK

SHOWN = (
    "run_id",
    "status",
    "family",
    "width",
    "depth",
    "N",
    "D",
    "C",
    "epochs",
    "seed",
    "lr",
    "loss",
    "error",
    "seconds",
)
"""Columns of the page's table of runs."""

MOST_ROWS = 600
"""Runs that the page's table lists; table.parquet has all."""


def render(table: pd.DataFrame, source: Path, sections: Sections, cost: Sequence[Picture], *, level: float) -> str:
    """Return the page. cost: figures of what the runs took; level: that of the intervals."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("analysis.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"embed": _embed, "anchor": anchor}
    written = (count, entry, exponent, flops, interval, measured, percent, shift, times)
    environment.globals |= {write.__name__: write for write in written}
    summary = summarise(table, source if source.is_dir() else source.parent)
    responses = [y for y in ("loss", "error") if y in table.columns and table[y].notna().any()]
    of_stages = any(section.task not in ("", OWN_TASK) for section in sections.tasks)
    return environment.get_template("report.html").render(
        title=source.resolve().name,
        source=str(source),
        summary=summary,
        sections=sections,
        headlines=headlines(sections.groups),
        cost=cost,
        conventions=conventions(responses, stages=of_stages),
        law_rows=lambda group: [law_row(result) for result in group.laws if result.slice is None],
        slice_tables=slice_tables,
        options=[result.options for group in sections.groups for result in group.laws],
        runs=_runs(table),
        commands=[*([summary.command] if summary.command else []), f"scaling report {source}"],
        versions=versions(),
        level=level,
    )


def _embed(svg: bytes) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg).decode()


def law_row(result: LawResult) -> dict[str, Any]:
    """Return what the page's table of laws says of one result."""
    fit = result.fit
    row: dict[str, Any] = {"title": result.title, "law": result.law}
    if fit is None:
        return {**row, "status": "refused", "equation": "", "params": [], "n": 0, "said": [result.refusal]}
    reasons = fit.certificate.reasons
    others = [text for text in fit.warnings if not any(reason in text for reason in reasons)]
    return {
        **row,
        "status": fit.certificate.status,
        "equation": as_html(equation(fit, result.x or "")),
        "params": parameter_rows(fit),
        "n": fit.n_points,
        "said": [*reasons, *others, *result.remarks],
    }


def slice_tables(group: GroupResults) -> list[dict[str, Any]]:
    """Return the laws of slices as compact tables: one for each response and variable."""
    tables = []
    for y, x in dict.fromkeys((result.y, str(result.x)) for result in group.laws if result.slice):
        laws: list[dict[str, Any]] = []
        by_slice: dict[int, dict[str, Any]] = {}
        for result in group.laws:
            if result.slice and (result.y, result.x) == (y, x):
                laws.append(law_row(result))
                by_slice.setdefault(id(result.slice), {"at": result.slice.words})[result.law] = laws[-1]
        tables.append({"title": f"{y} in {x}", "rows": list(by_slice.values()), "said": _tally(laws)})
    return tables


def _tally(laws: Sequence[dict[str, Any]]) -> list[str]:
    """Return each warning of some laws once, with the number of laws that have it."""
    counts: Counter[tuple[str, str]] = Counter()
    total = Counter(row["law"] for row in laws)
    for row in laws:
        counts.update((row["law"], re.sub(r" \([^)]*\)", "", text)) for text in dict.fromkeys(row["said"]))
    return [f"{law}, {n} of {total[law]}: {text}" for (law, text), n in counts.items()]


def _runs(table: pd.DataFrame) -> dict[str, Any]:
    ends = table.drop_duplicates("run_id", keep="last") if "run_id" in table.columns else table
    columns = [name for name in SHOWN if name in ends.columns] or list(ends.columns[:12])
    rows = ends[columns].head(MOST_ROWS).astype(object)
    return {
        "columns": columns,
        "rows": rows.where(rows.notna(), None).to_numpy().tolist(),
        "more": len(ends) - len(rows),
    }
