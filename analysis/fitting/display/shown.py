"""The display of a fit: summary, figures, and its numbers as tables.

The modules that write the text and draw the figure are above this one, so they are imported by name.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.display.plain import PlainData
from analysis.fitting.resample import sandwich

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DRAWS = 4000
"""Draws from the sandwich formula for a covariance without refits."""
WORDS, FIGURE = "analysis.fitting.display.words", "analysis.figures.notebook"


class Text(str):
    """Text that a notebook displays with its line breaks."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Shown(PlainData):
    """The display methods of a fit."""

    engine: Any
    params: Any
    intervals: Any

    def __repr__(self) -> str:
        return str(import_module(WORDS).one_line(self))

    def _repr_html_(self) -> str:
        return str(import_module(WORDS).html(self))

    def summary(self) -> Text:
        """Return parameters with intervals, the verdict with reasons, residuals, AIC, BIC and the hold-out as text."""
        return Text(import_module(WORDS).summary(self))

    def to_latex(self) -> str:
        """Return the law and its parameters with intervals as a LaTeX table (packages amsmath and booktabs)."""
        return str(import_module(WORDS).latex(self))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the runs and the law over its variable, or over C by N; on new axes if ax is None."""
        axes: Axes = import_module(FIGURE).plot_fit(self, ax)
        return axes

    def plot_residuals(self, ax: Axes | None = None) -> Axes:
        """Draw the residuals in per cent against compute or the law's variable."""
        axes: Axes = import_module(FIGURE).plot_residuals(self, ax)
        return axes

    @property
    def residuals(self) -> np.ndarray:
        """Return the residuals (n,) in the order of the rows used: of log y, or of y with space="raw"."""
        engine = self.engine
        rest: np.ndarray = engine.residuals
        return rest if engine.problem.objective.space == "log" else rest * np.exp(engine.problem.units.log_y)

    def covariance(self) -> pd.DataFrame:
        """Return the covariance of the free parameters, from the refits or (without resamples) the sandwich formula."""
        import pandas as pd

        engine = self.engine
        law, units = engine.problem.law, engine.problem.units
        samples = engine.samples
        if samples is None:
            samples = sandwich(engine.problem, engine.points, engine.theta, count=DRAWS, resample="runs", seed=0)
        spread = np.cov(law.unscale(samples, units))
        return pd.DataFrame(np.atleast_2d(spread), index=list(law.params), columns=list(law.params))

    def to_dataframe(self) -> pd.DataFrame:
        """Return one row per parameter: value, interval ends (nan without an interval) and constraint."""
        import pandas as pd

        none = (float("nan"), float("nan"))
        words = self.engine.problem.law.constraint_words
        rows = {
            name: (value, *self.intervals.get(name, none), words.get(name, "")) for name, value in self.params.items()
        }
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "bound"])
        return table.rename_axis("parameter")
