"""Rank laws by their extrapolation error from smaller to larger runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from analysis.errors import check_words
from analysis.fitting.display.in_notebook import InNotebook
from analysis.fitting.holdout import Score, candidates, rows_by_size, score_laws
from analysis.fitting.resample import MOST_VALUES
from analysis.fitting.settings import settings_of
from analysis.laws import Law, constrained_each, constraints, get_law
from analysis.table.read import load_table
from analysis.table.remarks import remarks_of

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd


MOST_ROWS = 40_000
"""Number of fitted rows above which intervals come from the sandwich formula, as for a fit with 1000 resamples."""


@dataclass(frozen=True, repr=False)
class Backtest(InNotebook):
    """Laws ranked by their error on the held-out runs."""

    by: str
    level: float
    scores: tuple[Score, ...]
    warnings: tuple[str, ...] = ()

    @property
    def best(self) -> str:
        """The name of the law with the smallest error."""
        return self.scores[0].law

    @property
    def supported(self) -> float:
        """The largest extrapolation factor at which the best law's intervals covered the held-out runs (1: none)."""
        held = [split.factor for split in self.scores[0].splits if split.coverage >= self.level - 0.15]
        return max(held, default=1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return super().to_dict() | {"best": self.best, "supported": self.supported}


def backtest(
    table: pd.DataFrame | str | Path,
    laws: str | Law | Sequence[str | Law] = (),
    *,
    y: str = "loss",
    x: str | None = None,
    by: str | None = None,
    resamples: int = 200,
    level: float = 0.95,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    **options: Any,
) -> Backtest:
    """Fit each law to the smaller runs (by C, N, D or another column) and compare with the larger ones.

    laws: by default those in N and D if the table has both and x is None, else one-variable laws. resamples: 0 ranks by
    error alone. fix, tie: constraints on the laws that have these parameters. options: those of fit.
    Raises `Refusal` where no law can be tested.
    """
    asked = settings_of(y=y, x=x, resamples=resamples, level=level, **options)
    asked = replace(asked, search=replace(asked.search, most_refitted=min(MOST_VALUES, MOST_ROWS * resamples)))
    check_words(x=x, by=by)
    named = laws if isinstance(laws, Iterable) and not isinstance(laws, str) else () if laws is None else [laws]
    rows, by, asked = rows_by_size(load_table(table), asked, by=by)
    tried = constrained_each(tuple(map(get_law, named)) or candidates(rows, x), fix, tie)
    scores = score_laws(rows, tried, asked, by=by)
    return Backtest(by, level, tuple(scores), (*constraints(tried), *remarks_of(rows)))
