"""How a law is fitted to a table: the options of `fit`, checked, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.errors import UserError
from analysis.fitting.engine import SearchSettings, fit_points
from analysis.fitting.objective import Objective
from analysis.fitting.points import Selection, read_points
from analysis.fitting.result import Fit
from analysis.fitting.seeds import weights_from_seeds
from analysis.laws import Law

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Settings:
    """The settings of a fit: objective, search and resampling, row selection and weights."""

    objective: Objective = field(default_factory=lambda: Objective("huber", 1e-3, "log"))
    search: SearchSettings = field(default_factory=SearchSettings)
    selection: Selection = field(default_factory=Selection)
    weights: Literal["seeds"] | None = None

    def resampled(self, count: int) -> Settings:
        """Return the same settings with another number of resamples."""
        return replace(self, search=replace(self.search, resamples=count))


def settings_of(
    *,
    objective: Literal["huber", "lad", "lsq"] = "huber",
    delta: float = 1e-3,
    space: Literal["log", "raw"] = "log",
    weights: Literal["seeds"] | None = None,
    pool: Sequence[str] = (),
    keep: Sequence[str] = (),
    **options: Any,
) -> Settings:
    """Build checked settings from the options of `fit`: the fields of `SearchSettings` and `Selection` among them.

    Raises `UserError`.
    """
    chosen = {name: options.pop(name) for name in Selection.__dataclass_fields__ if name in options}
    selection = Selection(pool=_words(pool), keep=_words(keep), **chosen)
    return Settings(Objective(objective, delta, space), SearchSettings(**options), selection, weights)


def _words(names: Sequence[str]) -> tuple[str, ...]:
    """Return a name or a sequence of names as a tuple; raise `UserError` for anything else."""
    found = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) for name in found):
        raise UserError(f"found {names!r}; wanted names, such as ('schedule', 'batch')")
    return found


def fit_law(frame: pd.DataFrame, law: Law, *, y: str, x: str | None, settings: Settings) -> Fit:
    """Fit one law to the rows of a table. Raises `UserError` and `Refusal` as `fit` does."""
    space = settings.objective.space
    points = read_points(frame, law, y=y, x=x, space=space, selection=settings.selection)
    if settings.weights == "seeds":
        points = replace(points, weights=weights_from_seeds(points, np.log(points.y) if space == "log" else points.y))
    elif settings.weights is not None:
        raise UserError(f"found weights={settings.weights!r}; wanted 'seeds' or none")
    return fit_points(points, law, y=y, objective=settings.objective, search=settings.search)
