"""From a table of runs to results: laws, fits with certificates and intervals, forecasts, figures. Without torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.estimates.suggest.suggest import Suggestion as Suggestion
    from analysis.estimates.suggest.suggest import suggest as suggest
    from analysis.fitting.fit import fit as fit
    from analysis.fitting.result import Fit as Fit
    from analysis.table.read import load_table as load_table

__all__ = ["Fit", "Suggestion", "fit", "load_table", "suggest"]


def __getattr__(name: str) -> Any:
    """Import on first use, so that `import analysis` costs nothing."""
    if name == "load_table":
        from analysis.table.read import load_table

        return load_table
    if name == "fit":
        from analysis.fitting.fit import fit

        return fit
    if name == "Fit":
        from analysis.fitting.result import Fit

        return Fit
    if name in ("suggest", "Suggestion"):
        from analysis.estimates.suggest import suggest as home

        return getattr(home, name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
