"""The card of a fit: everything needed to reproduce the same digits."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.points import Points
from analysis.laws import Law
from analysis.numbers import entry, exponent, interval, number, p_value, percent
from analysis.wording import counted

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

CONVENTIONS = {  # convention for counting N, C and D -> its column and what it counts
    "N": "parameters of all weight matrices",
    "N_total": "all parameters",
    "N_body": "parameters without input embedding and head",
    "N_nonhead": "parameters without the head",
    "C": "FLOPs: 3 x forward, a multiply-add counts 2",
    "C_counted": "FLOPs as counted, forward and backward",
    "D": "training examples processed, including repeats",
}


def write_parameter(law: Law, name: str, value: float) -> str:
    """Write a parameter of a law: exponents with three decimals, others with four digits."""
    return (exponent if name in getattr(law, "base", law).exponents else number)(value)


def parameter_rows(fit: Fit) -> list[tuple[str, str, str]]:
    """Return name, value and interval of each parameter as text, and the exponents of the optimal N and D."""
    law = fit.engine.problem.law
    rows = []
    for name, value in fit.params.items():
        ends = interval(fit.intervals.get(name), exponent if name in law.exponents else None)
        ends = law.constraint_words.get(name, ends)
        rows.append((name, write_parameter(law, name, value), ends))
    if fit.allocation:
        found = fit.allocation
        rows.append(("N* exponent", exponent(found.N_exponent), interval(found.N_exponent_interval, exponent)))
        rows.append(("D* exponent", exponent(found.D_exponent), ""))
    return rows


def signed_rows(fit: Fit) -> list[tuple[str, str, str]]:
    """Return a law's parameters as text; the exponent of a law with only one is written as the power of its variable.

    The exponent then has the sign that the equation and the figures show: C^-alpha is written as -alpha.
    """
    law, rows = fit.engine.problem.law, parameter_rows(fit)
    if law.exponent is None or f"^-{law.exponent}" not in law.formula:
        return rows
    value, ends = fit.params[law.exponent], fit.intervals.get(law.exponent)
    signed = ("exponent", exponent(-value), interval((-ends[1], -ends[0]) if ends else None, exponent))
    return [signed if row[0] == law.exponent else row for row in rows]


def write_card(points: Points, law: Law, options: dict[str, Any]) -> dict[str, Any]:
    """Return the card as plain data."""
    used = {name: (float(x.min()), float(x.max())) for name, x in points.inputs.items()}
    return {
        "law": law.name,
        "formula": law.formula,
        "source": law.source,
        "columns": dict(points.columns),
        "conventions": {column: CONVENTIONS[column] for column in points.columns.values() if column in CONVENTIONS},
        "flops_per_nd": points.flops_per_nd,
        "ranges": used,
        "rows_used": points.n,
        "left_out": list(points.left_out),
        "data_hash": points.data_hash,
        **({"bound": law.constraint_words} if law.constraint_words else {}),
        **options,
        "versions": {"python": platform.python_version(), "numpy": np.__version__},
    }


def card_text(fit: Fit) -> str:
    """Return the card of a fit as plain text, one fact per line."""
    card, objective = fit.card, fit.objective
    lines = [
        f"law          {fit.y} = {card['formula']}   ({fit.law}; {card['source']})",
        *_parameter_lines(fit),
        f"objective    {objective.name} on {objective.space} {fit.y}, delta {number(objective.delta)}, "
        f"sum {number(objective.value, 10)}",
        f"data         {counted(fit.n_points, 'point')} of {counted(fit.n_runs, 'run')}, hash {card['data_hash']}",
        *(f"left out     {line}" for line in card["left_out"]),
        *(f"{name:<12} {text}" for name, text in card["conventions"].items()),
        f"intervals    {card['resamples']} resamples by {card['resample']}, {card['interval']}, "
        f"level {number(fit.level)}, seed {card['seed']}",
        *_certificate_lines(fit),
        *(f"warning      {line}" for line in fit.warnings),
        "versions     " + ", ".join(f"{name} {value}" for name, value in card["versions"].items()),
    ]
    return "\n".join(lines)


def _parameter_lines(fit: Fit) -> list[str]:
    exponents, columns = fit.engine.problem.law.exponents, fit.card["columns"]
    lines = []
    for name, value, ends in parameter_rows(fit):
        exact = number(fit.params[name], 6) if name in fit.params else value
        of = f"   exponent of {columns.get(exponents[name], fit.y)}" if name in exponents else ""
        lines.append(f"  {name:<11} {exact:<12} {ends}{of}".rstrip())
    return lines


def _certificate_lines(fit: Fit) -> list[str]:
    certificate, test, tried = fit.certificate, fit.lack_of_fit, fit.card.get("tried")
    lines = [
        f"certificate  {certificate.status}: {percent(certificate.share_at_best)} of {certificate.starts} starts "
        f"at the best of {certificate.basins}, gradient {number(certificate.gradient_norm, 2)}, "
        f"condition {number(certificate.condition, 3)}, "
        f"{number(certificate.points_per_parameter, 3)} points per parameter, {certificate.backtest}"
    ]
    if certificate.trade_off:
        where = ", ".join(f"{name} = {entry(name, value)}" for name, value in certificate.next_run.items())
        lines.append(f"trade-off    {', '.join(certificate.trade_off)}; a run at {where} would help most")
    if test:
        lines.append(f"lack of fit  F {number(test.F, 3)} over {test.cells} cells, {p_value(test.p_value, 2)}")
    if tried:
        lines.append("tried        " + ", ".join(f"{law} {percent(error)}" for law, error in tried.items()))
    return lines
