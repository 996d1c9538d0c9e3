"""Leave the future out and see who foretells it: laws ranked by extrapolation, not by how they fit what they saw."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import Refusal, UserError
from analysis.result import plain

if TYPE_CHECKING:
    import pandas as pd

    from analysis.laws import Law
    from analysis.result import Fit

KEPT = (0.5, 0.65, 0.8)
"""Shares of the distinct sizes that the backtests see."""
ONE = ("power", "saturating", "shifted", "m3", "m4", "bnsl1")
JOINT = ("chinchilla", "kaplan")


@dataclass(frozen=True)
class Split:
    """One backtest: what was seen, how far it looked ahead, how wrong it was. coverage: nan without resamples."""

    seen: int
    ahead: int
    factor: float
    error: float
    bias: float
    coverage: float


@dataclass(frozen=True)
class Score:
    """A law's backtests: root mean square error of log y over all, and how often a new run fell in its interval."""

    law: str
    error: float
    coverage: float
    splits: tuple[Split, ...]
    refused: tuple[str, ...]


@dataclass(frozen=True)
class Backtest:
    """Laws ranked by how well they foretold what was left out."""

    by: str
    level: float
    scores: tuple[Score, ...]

    @property
    def best(self) -> str:
        """Name of the law that foretold best."""
        return self.scores[0].law

    @property
    def supported(self) -> float:
        """The largest factor beyond what was seen at which the best law's intervals still held (1: none known to)."""
        held = [split.factor for split in self.scores[0].splits if split.coverage >= self.level - 0.15]
        return max(held, default=1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return plain(self) | {"best": self.best, "supported": self.supported}

    def to_json(self) -> str:
        """Return the JSON text of `to_dict`."""
        return json.dumps(self.to_dict(), indent=2)


def backtest(
    table: pd.DataFrame | str,
    laws: Sequence[str | Law] = (),
    *,
    y: str = "loss",
    x: str | None = None,
    by: str | None = None,
    resamples: int = 200,
    level: float = 0.95,
    **options: Any,
) -> Backtest:
    """Fit each law to the smaller runs (by C, N, D or another column) and compare with the larger ones.

    Laws default to those that the table can carry: in N and D without x, else in x. `options` are those of `fit`;
    resamples=0 ranks by the error alone. Raises `Refusal` where no law can be tested.
    """
    from analysis.table import load_table, require_columns, select_rows

    choice = {name: options.pop(name) for name in ("rows", "where", "pool", "keep", "task") if name in options}
    rows, _ = select_rows(load_table(table), y=y, **choice)
    candidates = list(laws) or list(ONE if x is not None or not {"N", "D"} <= set(rows.columns) else JOINT)
    by = by or x or ("C" if "C" in rows.columns else "D")
    require_columns(rows, [by])
    sizes = rows[by].to_numpy(dtype=float)
    cuts = _cuts(sizes, by)
    pool: dict[str, Any] = {name: choice[name] for name in ("rows", "pool", "keep") if name in choice}
    settings: dict[str, Any] = {"y": y, "resamples": resamples, "level": level, **pool, **options}
    scores = [_score(rows, sizes, cuts, law, x, settings) for law in candidates]
    if all(not score.splits for score in scores):
        raise Refusal(f"no law could be backtested by {by}: {scores[0].refused[0]}")
    return Backtest(by, level, tuple(sorted(scores, key=lambda score: (score.error, score.law))))


def _cuts(sizes: np.ndarray, by: str) -> list[float]:
    distinct = np.unique(sizes[np.isfinite(sizes)])
    if len(distinct) < 4:
        raise Refusal(f"found {len(distinct)} distinct values of {by}; a backtest wants at least 4")
    return sorted({float(distinct[min(len(distinct) - 2, max(1, round(share * len(distinct)) - 1))]) for share in KEPT})


def _score(rows: pd.DataFrame, sizes: np.ndarray, cuts: list[float], law: Any, x: str | None, settings: Any) -> Score:
    from analysis.fitting import fit

    splits, refused = [], []
    name = law if isinstance(law, str) else law.name
    for cut in cuts:
        seen, ahead = rows[sizes <= cut], rows[sizes > cut]
        try:
            found = fit(seen, law, x=x, **settings)
        except Refusal as refusal:
            refused.append(str(refusal))
            continue
        rest = np.log(ahead[settings["y"]].to_numpy(dtype=float) / found.predict(ahead))
        inside = _inside(found, ahead) if settings["resamples"] else float("nan")
        factor = float(sizes[sizes > cut].max() / cut)
        splits.append(
            Split(len(seen), len(ahead), factor, float(np.sqrt(np.mean(rest**2))), float(rest.mean()), inside)
        )
    error = float(np.sqrt(np.mean([split.error**2 for split in splits]))) if splits else float("inf")
    coverage = float(np.average([s.coverage for s in splits], weights=[s.ahead for s in splits])) if splits else 0.0
    if refused and splits:
        # A law that refuses some splits has been tested on fewer and easier ones: it ranks behind those that did all.
        error = max(error, 1e3)
    return Score(name, error, coverage, tuple(splits), tuple(refused))


def _inside(found: Fit, ahead: pd.DataFrame) -> float:
    """Return the share of runs that fell in the interval of a new run."""
    low, high = found.interval(ahead, kind="run")
    return float(np.mean((ahead[found.y] >= low) & (ahead[found.y] <= high)))


def check_laws(laws: Sequence[str]) -> None:
    """Raise `UserError` for an unknown law."""
    from analysis.laws import LAWS

    for law in laws:
        if law not in LAWS:
            raise UserError(f"found the law {law!r}; wanted some of {', '.join(LAWS)}")
