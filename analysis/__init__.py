"""From a table of runs to results: laws, fits with certificates and intervals, forecasts, figures. Without torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.estimates.suggest.suggest import Suggestion as Suggestion
    from analysis.estimates.suggest.suggest import suggest as suggest
    from analysis.fitting.fit import fit as fit
    from analysis.fitting.result import Fit as Fit
    from analysis.table.read import load_table as load_table

__all__ = ["Fit", "Suggestion", "fit", "load_table", "suggest"]


_HOMES = {
    "Fit": "analysis.fitting.result",
    "Suggestion": "analysis.estimates.suggest.suggest",
    "fit": "analysis.fitting.fit",
    "load_table": "analysis.table.read",
    "suggest": "analysis.estimates.suggest.suggest",
}
"""The module of each exported name."""


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import analysis` costs nothing."""
    if name not in _HOMES:
        raise AttributeError(f"module 'analysis' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
