"""How a law is fitted to a table: the options of `fit`, checked, as one value."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from numbers import Integral, Real
from typing import Any, Literal, get_args

from analysis.errors import UserError, check_words
from analysis.fitting.objective import Objective
from analysis.fitting.points import Selection
from analysis.fitting.resample import MOST_VALUES, Resample
from analysis.laws.base import Array


@dataclass(frozen=True)
class SearchSettings:
    """Settings of a fit's search for the best parameters, and of its resampling.

    starts: number of starts (default: the law's own). For inner fits, which need the optimum alone: most_refitted:
    resamples x points beyond which the sandwich formula replaces refits. majority: stop when more than half of the
    starts agree. kept: use only this many of the drawn starts, the best ones. begin: inner vectors (p, k) to start from
    instead of drawn ones. steps: maximum number of steps per start (default: the solver's).
    """

    resamples: int = 1000
    resample: Resample = "runs"
    interval: Literal["percentile", "bca"] = "percentile"
    level: float = 0.95
    seed: int = 0
    starts: int | None = None
    most_refitted: int = MOST_VALUES
    majority: bool = False
    kept: int | None = None
    begin: Array | None = field(default=None, compare=False)
    steps: int | None = None

    def __post_init__(self) -> None:
        for name in ("resamples", "seed", *(("starts",) if self.starts is not None else ())):
            check_kind(name, getattr(self, name), Integral, "a whole number, such as 100")
        check_kind("level", self.level, Real, "a number between 0 and 1, such as 0.95")
        if self.interval not in ("percentile", "bca"):
            raise UserError(f"found interval={self.interval!r}; wanted percentile or bca")
        if not 0 < self.level < 1:
            raise UserError(f"found level {self.level}; wanted a number between 0 and 1, such as 0.95")
        if self.resample not in get_args(Resample):
            raise UserError(f"found resample={self.resample!r}; wanted one of {', '.join(get_args(Resample))}")
        if self.resamples < 0 or (self.starts is not None and self.starts < 1):
            raise UserError(
                f"found resamples={self.resamples}, starts={self.starts}; wanted resamples >= 0 and starts >= 1"
            )
        if self.seed < 0:
            raise UserError(f"found seed={self.seed}; wanted a whole number from 0 on")


def check_kind(name: str, value: object, kind: type, wanted: str) -> None:
    """Raise `UserError` unless a value is an instance of `kind`; a bool is not accepted."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise UserError(f"found {name}={value!r}; wanted {wanted}")


@dataclass(frozen=True)
class Settings:
    """The settings of a fit: objective, search and resampling, row selection and weights.

    y: the response; x: the variable of a law of one variable.
    """

    y: str = "loss"
    x: str | None = None
    objective: Objective = field(default_factory=Objective)
    search: SearchSettings = field(default_factory=SearchSettings)
    selection: Selection = field(default_factory=Selection)
    weights: Literal["seeds"] | None = None

    def resampled(self, count: int) -> Settings:
        """Return the same settings with another number of resamples."""
        return replace(self, search=replace(self.search, resamples=count))


def settings_of(
    *,
    y: str = "loss",
    x: str | None = None,
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
    words = {name: options[name] for name in ("resample", "interval", "rows", "task", "run_column") if name in options}
    check_words(objective=objective, space=space, weights=weights, **words)
    chosen = {name: options.pop(name) for name in Selection.__dataclass_fields__ if name in options}
    selection = Selection(pool=_words(pool), keep=_words(keep), **chosen)
    return Settings(y, x, Objective(objective, delta, space), SearchSettings(**options), selection, weights)


def _words(names: Sequence[str]) -> tuple[str, ...]:
    """Return a name or a sequence of names as a tuple; raise `UserError` for anything else."""
    found = (names,) if isinstance(names, str) else tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) for name in found):
        raise UserError(f"found {names!r}; wanted names, such as ('schedule', 'batch')")
    return found
