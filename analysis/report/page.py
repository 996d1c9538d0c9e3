"""The report of a sweep: one self-contained report.html, table.parquet, fit.json, and figures/ where asked for."""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.errors import UserError
from analysis.figures.equation import as_html, equation
from analysis.fitting.card import parameter_rows
from analysis.fitting.result import plain
from analysis.numbers import count, duration, entry, exponent, flops, interval, measured, percent, shift, times
from analysis.report.drawing import Picture, picture
from analysis.report.headlines import Headline, headlines
from analysis.report.law_figures import of_cost
from analysis.report.law_results import USUAL, Claim, Findings, How
from analysis.report.sections import Section, anchor, choose_tasks, sections
from analysis.report.summary import Summary, conventions, summarise, versions
from analysis.report.text_table import TextTable, write_tables
from analysis.table.read import load_table, write_table
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


@dataclass(frozen=True)
class Report:
    """What was written, and what it says."""

    page: Path
    pictures: tuple[Picture, ...]
    findings: tuple[Findings, ...]
    refused: tuple[str, ...]
    headlines: tuple[Headline, ...]


def write_report(
    source: str | Path,
    *,
    out: str | Path | None = None,
    tasks: Sequence[str] = (),
    how: How = USUAL,
    figures: bool = False,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Analyse a results folder (or a table's file) and write the report into it (or into `out`).

    tasks: those to report on, all where none is named; figures: save them in figures/ too, as PNG and PDF; say: is told
    each stage. Raises `UserError` where there is no table or OUT cannot be written; what the data cannot say is refused
    inside the report, with the reason.
    """
    path = Path(source)
    folder = Path(out) if out else path if path.is_dir() else Path(path.name.split(".")[0] + "_report")
    whole = load_table(path)
    table = choose_tasks(whole, tasks)
    into = folder / "figures" if figures else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        parts, beside, results = sections(table, path, into, how, say)
        write_tables([*results, *(one for part in parts for one in part.tables)], folder / "tables")
        write_table(whole, folder / "table.parquet")
        findings = tuple(group for part in parts for group in part.findings)
        refused = tuple(_of_task(part, text) for part in parts for text in part.refused)
        said = {"groups": [group.to_dict() for group in findings], "refused": refused, "level": how.level}
        write_aside(folder / "fit.json", json.dumps(plain(said), indent=1))
        cost = [picture(drawing, into) for drawing in of_cost(whole)]
        lines = headlines(findings)
        page = render(table, path, how, parts=parts, beside=beside, results=results, lines=lines, cost=cost)
        write_aside(folder / "report.html", page)
    except OSError as error:
        raise UserError(f"cannot write the report into {folder}: {error.strerror or error}") from error
    pictures = (*beside, *(picture for part in parts for picture in part.pictures), *cost)
    return Report(folder / "report.html", pictures, findings, refused, tuple(lines))


def _of_task(part: Section, text: str) -> str:
    return f"{part.task}: {text}" if part.task else text


def write_aside(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.write_text(text, encoding="utf-8")
    aside.replace(path)


def render(
    table: pd.DataFrame,
    source: Path,
    how: How,
    *,
    parts: Sequence[Section],
    beside: Sequence[Picture],
    results: Sequence[TextTable],
    lines: Sequence[Headline],
    cost: Sequence[Picture],
) -> str:
    """Return the page: one part for each task, `beside` and `results` above them."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(loader=PackageLoader("analysis.report"), autoescape=True, undefined=StrictUndefined)
    environment.filters["embed"] = lambda svg: "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    written = (count, duration, entry, exponent, flops, interval, measured, percent, shift, times)
    environment.globals |= {write.__name__: write for write in written}
    environment.filters["anchor"] = anchor
    summary = summarise(table, source if source.is_dir() else source.parent)
    responses = [y for y in ("loss", "error") if y in table.columns and table[y].notna().any()]
    return environment.get_template("report.html").render(
        title=source.resolve().name,
        source=str(source),
        summary=summary,
        parts=parts,
        beside=beside,
        results=results,
        headlines=lines,
        cost=cost,
        conventions=conventions(responses, stages=any(part.task not in ("", OWN_TASK) for part in parts)),
        laws=lambda group: [law_row(claim) for claim in group.claims if claim.sweep is None],
        series=series,
        options=[claim.options for part in parts for group in part.findings for claim in group.claims],
        runs=_runs(table),
        n_runs=summary.counts["runs"],
        commands=_commands(summary, source),
        versions=versions(),
        level=how.level,
    )


def law_row(claim: Claim) -> dict[str, Any]:
    """Return what the page's table of laws says of one claim."""
    row: dict[str, Any] = {"title": claim.title, "law": claim.law, "options": claim.options, "refusal": claim.refusal}
    if claim.fit is None:
        return {**row, "status": "refused", "equation": "", "params": [], "n": 0, "said": [claim.refusal]}
    fit = claim.fit
    said = [*fit.certificate.reasons, *(text for text in fit.warnings if not _repeats(text, fit.certificate.reasons))]
    said += claim.remarks
    text = as_html(equation(fit, claim.x or ""))
    return {
        **row,
        "status": fit.certificate.status,
        "equation": text,
        "params": parameter_rows(fit),
        "n": fit.n_points,
        "said": said,
    }


def series(group: Findings) -> list[dict[str, Any]]:
    """Return the laws of one-variable sweeps as compact tables: one for each response and variable."""
    tables = []
    for y, x in dict.fromkeys((claim.y, str(claim.x)) for claim in group.claims if claim.sweep):
        laws: list[dict[str, Any]] = []
        by_sweep: dict[int, dict[str, Any]] = {}
        for claim in group.claims:
            if claim.sweep and (claim.y, claim.x) == (y, x):
                laws.append(law_row(claim))
                by_sweep.setdefault(id(claim.sweep), {"at": claim.sweep.words})[claim.law] = laws[-1]
        tables.append({"title": f"{y} in {x}", "rows": list(by_sweep.values()), "said": _tally(laws)})
    return tables


def _tally(laws: Sequence[dict[str, Any]]) -> list[str]:
    """Say each warning of rows of laws once, with the number of them that have it."""
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


def _commands(summary: Summary, source: Path) -> list[str]:
    return [*([summary.command] if summary.command else []), f"scaling report {source}"]


def _repeats(text: str, reasons: Sequence[str]) -> bool:
    return any(reason in text for reason in reasons)
