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

from analysis.claims import USUAL, Claim, Findings, How
from analysis.drawing import Picture, picture
from analysis.errors import UserError
from analysis.figures.equation import as_html, equation
from analysis.figures.style import SUPERSCRIPT
from analysis.gallery import of_cost
from analysis.result import plain
from analysis.sections import Section, anchor, choose_tasks, sections
from analysis.summary import Summary, conventions, summarise, versions
from analysis.table import load_table, write_table
from analysis.text_table import TextTable, write_tables

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

TOO_MANY_EDGES = 2 / 3
"""Share of frontier points at an edge of the sizes from which its law is no headline: the grid's, not the task's."""

KNOWN = 4.0
"""Largest over smallest end of an exponent's interval from which it is no headline."""

MOST_ROWS = 600
"""Runs that the page's table lists; table.parquet has all."""


@dataclass(frozen=True)
class Headline:
    """One result in large type: what, how much, how sure."""

    what: str
    value: str
    interval: str
    status: str
    note: str


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


def headlines(findings: Sequence[Findings]) -> list[Headline]:
    """Choose the few results that a reader looks for first."""
    lines = []
    for group in findings:
        name = f" ({group.title})" if len(findings) > 1 else ""
        for y in ("loss", "error"):
            front, claim = group.frontiers.get(y), group.drawn(y)
            if front and front.line and claim and claim.fit and front.share_at_edge < TOO_MANY_EDGES:
                power = front.line.exponent_interval if claim.law == "power" else None
                interval = _wider(power, claim.fit.intervals.get("alpha"))
                sure = front.share_at_edge == 0
                lines.append(_headline(f"best {y} falls as{name}", claim, interval, sure=sure))
        valleys = group.valleys.get("loss")
        if valleys and valleys.N_law:
            law = valleys.N_law
            note = f"{len(valleys.usable)} of {len(valleys.valleys)} minima"
            ends = _interval(law.exponent_interval)
            lines.append(Headline(f"best size grows as{name}", f"C<sup>{law.exponent:.3f}</sup>", ends, "", note))
        for x in ("D", "D_unique", "N") if not group.valleys else ():
            claim = next((group.drawn("loss", sweep) for sweep in reversed(group.sweeps[x])), None)
            if claim and claim.fit and claim.sweep:
                interval = _wider(None, claim.fit.intervals.get("alpha"))
                if interval and not _known(interval):
                    continue
                lines.append(_headline(f"loss at {claim.sweep.words}{name}", claim, interval))
    return lines[:8]


def _known(interval: tuple[float, float]) -> bool:
    """Tell an exponent that is known to a factor of `KNOWN`, sign included."""
    low, high = sorted(map(abs, interval))
    return interval[0] * interval[1] > 0 and high <= KNOWN * low


def _headline(what: str, claim: Claim, interval: tuple[float, float] | None, *, sure: bool = True) -> Headline:
    assert claim.fit
    value = f"{str(claim.x).replace('D_unique', 'D<sub>unique</sub>')}<sup>{_signed(-claim.fit.params['alpha'])}</sup>"
    floor = claim.fit.params.get("E", 0.0)
    note = f"above a floor of {number(floor)} {_interval(claim.fit.intervals.get('E'))}" if floor else ""
    return Headline(what, value, _interval(interval), claim.fit.certificate.status if sure else "weak", note)


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

    environment = Environment(loader=PackageLoader("analysis"), autoescape=True, undefined=StrictUndefined)
    environment.filters["embed"] = lambda svg: "data:image/svg+xml;base64," + base64.b64encode(svg).decode()
    environment.filters["num"] = number
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
        conventions=conventions(responses, stages=any(part.task not in ("", "test") for part in parts)),
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
    params = [(name, number(value), _interval(fit.intervals.get(name))) for name, value in fit.params.items()]
    said = [*fit.certificate.reasons, *(text for text in fit.warnings if not _repeats(text, fit.certificate.reasons))]
    said += claim.remarks
    if fit.allocation:
        found = fit.allocation
        params.append(("N* exponent", f"{found.N_exponent:.3f}", _interval(found.N_exponent_interval)))
    text = as_html(equation(fit, claim.x or "").split("  [")[0])
    return {
        **row,
        "status": fit.certificate.status,
        "equation": text,
        "params": params,
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


def number(value: object) -> str:
    """Write a number for a page: at most four digits unless it is a count, powers of ten as 1.2×10⁸."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "" if value is None else str(value)
    if value != value:
        return ""
    if float(value).is_integer() and abs(value) < 1e6:
        return _comma(value)
    mantissa, _, exponent = f"{value:.4g}".partition("e")
    if not exponent:
        return mantissa.replace("-", "\u2212")
    power = str(int(exponent)).translate(SUPERSCRIPT)
    mantissa = "" if mantissa == "1" else f"{mantissa}×"
    return f"{mantissa}10{power}" if abs(value) >= 1e6 or abs(value) < 1e-3 else _comma(float(f"{value:.4g}"))


def _comma(value: float) -> str:
    return (f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.0f}").replace("-", "\u2212")


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


def _interval(interval: tuple[float, float] | None) -> str:
    if interval is None:
        return ""
    ends = (f"{end:.3f}".replace("-", "−") if abs(end) < 100 else number(float(f"{end:.3g}")) for end in interval)
    return f"[{', '.join(ends)}]"


def _signed(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def _repeats(text: str, reasons: Sequence[str]) -> bool:
    return any(reason in text for reason in reasons)


def _wider(exponent: tuple[float, float] | None, alpha: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the wider of an interval of an exponent and one of its negative, as the exponent's."""
    mirrored = (-alpha[1], -alpha[0]) if alpha else None
    return max((ends for ends in (exponent, mirrored) if ends), key=lambda ends: ends[1] - ends[0], default=None)
