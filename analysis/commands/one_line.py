"""A result in one line, as Python shows it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from analysis.numbers import entry, exponent, interval, measured, number, percent
from analysis.wording import counted

if TYPE_CHECKING:
    from analysis.estimates.allocate import ApproachComparison
    from analysis.estimates.backtest import Backtest
    from analysis.estimates.forecast import Forecast
    from analysis.estimates.frontier import Frontier
    from analysis.estimates.isoflop import IsoFlop
    from analysis.estimates.suggest.ledger import Ledger
    from analysis.estimates.suggest.suggest import Suggestion
    from analysis.fitting.certificate import Certificate
    from analysis.report.page import Report


def one_line(found: Any) -> str:
    """Return a result in one line: its subject and its main numbers."""
    name = type(found).__name__
    return f"<{name} {LINES[name](found)}>"


def _allocation(found: ApproachComparison) -> str:
    exponents = ", ".join(f"{one.title} {exponent(one.N_exponent) or one.status}" for one in found.approaches)
    return f"of {found.y}: N* exponent by {exponents}; {VERDICTS[found.agree]}"


def _backtest(found: Backtest) -> str:
    return f"by {found.by}: error ahead " + ", ".join(f"{one.law} {percent(one.error)}" for one in found.scores)


def _certificate(found: Certificate) -> str:
    starts = f"{percent(found.share_at_best)} of {found.starts} starts at the best optimum"
    return f"{found.status}: {starts}, {found.backtest}; {counted(len(found.reasons), 'reason')}"


def _forecast(found: Forecast) -> str:
    at = ", ".join(f"{name} = {entry(name, value)}" for name, value in found.at.items())
    return f"of {found.y} by {found.law} at {at}: {measured(found.value)} {interval(found.mean_interval, measured)}"


def _frontier(found: Frontier) -> str:
    ends = " to ".join(entry(found.x, found.points[i].x) for i in (0, -1))
    line = f", exponent {exponent(found.line.exponent)}" if found.line else ""
    return f"of {found.y} over {found.x} by {found.rule}: {counted(len(found.points), 'point')} at {ends}{line}"


def _isoflop(found: IsoFlop) -> str:
    law, used = found.N_law, f"{len(found.usable)} of {counted(len(found.minima), 'budget')}"
    ends = interval(law.exponent_interval, exponent) if law else ""
    found_exponent = f"N* exponent {exponent(law.exponent)} {ends}".strip() if law else "no N*(C)"
    return f"of {found.y} by {found.shape}: {found_exponent}, {used}{f'; {found.status}' if law else ''}"


def _ledger(found: Ledger) -> str:
    inside = f", {percent(found.inside)} of them inside" if found.inside is not None else ""
    runs = f"{counted(len(found.runs), 'run')}, {len(found.scored)} finished{inside}"
    return f"of {counted(len(found.rounds), 'round')}: {runs}"


def _report(found: Report) -> str:
    return f"{found.page}: {counted(len(found.pictures), 'figure')}, {counted(len(found.groups), 'group')}"


def _suggestion(found: Suggestion) -> str:
    widths = f"half-width {number(found.interval_now, 2)}, then {number(found.interval_after, 2)}"
    gain = widths if found.interval_after is not None else found.reason or "spread over the inputs"
    return f"for {found.of}: {counted(len(found.rows), 'run')} at a cost of {number(found.cost)}; {gain}"


VERDICTS = {True: "they agree", False: "they disagree", None: "not to be compared"}
LINES: dict[str, Callable[[Any], str]] = {
    "ApproachComparison": _allocation,
    "Backtest": _backtest,
    "Certificate": _certificate,
    "Comparison": lambda found: str(found.sentence),
    "Forecast": _forecast,
    "Frontier": _frontier,
    "IsoFlop": _isoflop,
    "Ledger": _ledger,
    "Report": _report,
    "Suggestion": _suggestion,
}
"""The function that writes a result in one line, by the name of its class."""
