"""Display of a result in a notebook: the terminal's output as HTML."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from analysis import terminal
from analysis.commands.choose import show_suggestion
from analysis.commands.compare import show_comparison
from analysis.commands.ledger import show_ledger
from analysis.console import console, recorded
from analysis.figures.equation import without_markup


def show_report(found: Any) -> None:
    """Print the path of a report, and its headlines."""
    out = console()
    out.print(str(found.page), markup=False)
    for line in found.headlines:
        words = (line.of, line.what, line.value, line.interval, line.status)
        out.print(without_markup("  ".join(word for word in words if word)), markup=False)


SHOWN: dict[str, Callable[[Any], None]] = {
    "ApproachComparison": terminal.show_allocation,
    "Backtest": terminal.show_backtest,
    "Certificate": terminal.show_certificate,
    "Comparison": show_comparison,
    "Forecast": lambda found: terminal.show_forecasts([found]),
    "Frontier": lambda found: terminal.show_frontier(found, None),
    "IsoFlop": terminal.show_isoflop,
    "Ledger": show_ledger,
    "Report": show_report,
    "Suggestion": show_suggestion,
}
"""The function that prints a result on the terminal, by the name of its class."""
PAGE = '<pre style="white-space:pre;overflow-x:auto;line-height:1.3">{code}</pre>'


def html(found: Any) -> str:
    """Return the terminal's output for a result as one HTML element."""
    with recorded() as out:
        SHOWN[type(found).__name__](found)
    return out.export_html(inline_styles=True, code_format=PAGE)
