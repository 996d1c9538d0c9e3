"""A fit as text: one line, a summary, an HTML table or a LaTeX table."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

import numpy as np

from analysis.fitting.card import parameter_rows, write_parameter
from analysis.numbers import LOWERED, number, percent
from analysis.wording import counted

if TYPE_CHECKING:
    from analysis.fitting.result import Fit

COLOURS = {"ok": "#1a7f37", "weak": "#9a6700"}
LATEX = {"alpha": r"\alpha", "beta": r"\beta", "gamma": r"\gamma", "delta": r"\delta"}


@dataclass(frozen=True)
class Criteria:
    """Goodness of fit: root mean square residual, AIC and BIC under normal noise."""

    rms: float
    aic: float
    bic: float


def _criteria(fit: Fit) -> Criteria:
    """Compute AIC = 2 k - 2 log L and BIC = k log n - 2 log L, with normal residuals in the objective's space."""
    rest = fit.residuals
    n, k = len(rest), len(fit.engine.theta) + 1  # and the noise
    square = float(np.mean(rest**2))
    loss = n * (np.log(2 * np.pi * max(square, 1e-300)) + 1)
    return Criteria(float(np.sqrt(square)), 2 * k + loss, k * float(np.log(n)) + loss)


def one_line(fit: Fit) -> str:
    """Return a fit in one line."""
    law = fit.engine.problem.law
    params = ", ".join(f"{name} = {write_parameter(law, name, value)}" for name, value in fit.params.items())
    return f"<Fit {fit.law} of {fit.y}: {params}; {fit.certificate.status}, {fit.n_points} points>"


def summary(fit: Fit) -> str:
    """Return the summary of a fit, one fact per line."""
    rows = [("parameter", "value", f"{percent(fit.level)} interval"), *parameter_rows(fit)]
    widths = [max(len(row[i]) for row in rows) for i in range(3)]
    lines = [f"{fit.law}: {fit.y} = {fit.card['formula']}", ""]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines += ["", *(f"{name:<10}{text}" for name, text in _facts(fit))]
    lines += [f"{'reason':<10}{reason}" for reason in fit.certificate.reasons]
    lines += [f"{'note':<10}{text}" for text in _notes(fit)]
    return "\n".join(lines)


def _facts(fit: Fit) -> list[tuple[str, str]]:
    """Return labelled facts: status, data, residuals, AIC, BIC, and the extrapolation factor of the hold-out."""
    found, certificate = _criteria(fit), fit.certificate
    size = percent(found.rms) if fit.objective.space == "log" else number(found.rms)
    return [
        ("status", f"{certificate.status}; {percent(certificate.share_at_best)} of {certificate.starts} starts agree"),
        ("data", f"{counted(fit.n_points, 'point')} of {counted(fit.n_runs, 'run')}"),
        ("residuals", f"{size} (rms); AIC {number(found.aic, 5)}, BIC {number(found.bic, 5)}"),
        ("backtest", f"fitted without the largest third: {certificate.backtest}"),
    ]


def html(fit: Fit) -> str:
    """Return an HTML table for a notebook."""
    status = fit.certificate.status
    head = (
        f"<b>{escape(fit.law)}</b> &nbsp; {escape(fit.y)} = {escape(str(fit.card['formula']))} &nbsp; "
        f'<b style="color:{COLOURS[status]}">{escape(status)}</b>'
    )
    rows = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in parameter_rows(fit)
    )
    heads = "".join(f"<th>{escape(name)}</th>" for name in ("parameter", "value", f"{percent(fit.level)} interval"))
    details = "".join(f"<div><small>{escape(name)}: {escape(text)}</small></div>" for name, text in _facts(fit)[1:])
    notes = [*fit.certificate.reasons, *_notes(fit)]
    listed = "".join(f"<div><small>! {escape(text)}</small></div>" for text in notes)
    return f"<div>{head}<table><tr>{heads}</tr>{rows}</table>{details}{listed}</div>"


def latex(fit: Fit) -> str:
    """Return a LaTeX table: the law, then one row per parameter."""
    rows = [
        rf"${_symbol(name)}$ & ${_math(value)}$ & {f'${_math(ends)}$' if '[' in ends else ends.replace('=', '$=$')} \\"
        for name, value, ends in parameter_rows(fit)
    ]
    caption = rf"% {fit.law}: {fit.y} = {fit.card['formula']}; {fit.certificate.status}, {fit.n_points} points"
    head = rf"parameter & value & {number(100 * fit.level)}\,\% interval \\"
    return "\n".join(
        [caption, r"\begin{tabular}{lll}", r"\toprule", head, r"\midrule", *rows, r"\bottomrule", r"\end{tabular}"]
    )


def _symbol(name: str) -> str:
    if name.endswith(" exponent"):
        return rf"\partial \log {name[0]}^\star / \partial \log C"
    base, _, below = name.partition("_")
    symbol = LATEX.get(base, base)
    return f"{symbol}_{{{below}}}" if below else symbol


def _math(text: str) -> str:
    """Convert written numbers to LaTeX: 2×10⁻⁴ to 2 \\times 10^{-4}."""
    import re

    raised = re.sub(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)", lambda match: "10^{" + match[1].translate(LOWERED) + "}", text)
    return raised.replace("×", r" \times ").replace("−", "-").replace("∞", r"\infty").replace("%", r"\%")


def _notes(fit: Fit) -> list[str]:
    reasons = {f"weak fit: {reason}" for reason in fit.certificate.reasons}
    return [text for text in fit.warnings if text not in reasons]
