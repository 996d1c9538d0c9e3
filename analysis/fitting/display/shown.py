"""What a fit can do beside predicting: show itself, and give its numbers as tables.

The words and the figure are made by modules that read a finished fit, named here as text: they stand above it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.fitting.resample import sandwich

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

DRAWS = 4000
WORDS, FIGURE = "analysis.fitting.display.words", "analysis.figures.notebook"


class Text(str):
    """Text that a notebook shows with its lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Shown:
    """The part of a fit that shows it."""

    def __repr__(self) -> str:
        return str(import_module(WORDS).one_line(self))

    def _repr_html_(self) -> str:
        return str(import_module(WORDS).html(self))

    def summary(self) -> Text:
        """Return parameters with intervals, the verdict with its reasons, residuals, AIC and BIC, the own hold-out."""
        return Text(import_module(WORDS).summary(self))

    def to_latex(self) -> str:
        """Return the law and its parameters with intervals as a LaTeX table (packages amsmath and booktabs)."""
        return str(import_module(WORDS).latex(self))

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw the runs and the law: over its variable, or over C by N; on new axes unless some are given."""
        axes: Axes = import_module(FIGURE).plot_fit(self, ax)
        return axes

    def plot_residuals(self, ax: Axes | None = None) -> Axes:
        """Draw the residuals in per cent against compute, or the law's variable."""
        axes: Axes = import_module(FIGURE).plot_residuals(self, ax)
        return axes

    @property
    def residuals(self) -> np.ndarray:
        """Return log y less the law's logarithm (n,), in the order of the rows used; y less the law in space="raw"."""
        engine = _engine(self)
        rest: np.ndarray = engine.residuals
        return rest if engine.problem.objective.space == "log" else rest * np.exp(engine.problem.units.log_y)

    def covariance(self) -> pd.DataFrame:
        """Return the covariance of the free parameters: of the refits, or by the sandwich formula without resamples."""
        import pandas as pd

        engine = _engine(self)
        law, units = engine.problem.law, engine.problem.units
        samples = engine.samples
        if samples is None:
            samples = sandwich(engine.problem, engine.points, engine.theta, count=DRAWS, resample="runs", seed=0)
        spread = np.cov(law.unscale(samples, units))
        return pd.DataFrame(np.atleast_2d(spread), index=list(law.params), columns=list(law.params))

    def to_dataframe(self) -> pd.DataFrame:
        """Return a row a parameter: value, low and high end of its interval (nan without), how it is bound."""
        import pandas as pd

        fit: Any = self
        none = (float("nan"), float("nan"))
        words = _engine(self).problem.law.bound_words
        rows = {
            name: (value, *fit.intervals.get(name, none), words.get(name, "")) for name, value in fit.params.items()
        }
        table = pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low", "high", "bound"])
        return table.rename_axis("parameter")


def _engine(fit: Any) -> Any:
    return fit.engine
