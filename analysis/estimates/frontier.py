"""The compute-optimal frontier: the best runs for their compute, under a named rule, and a law fitted to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError, check_words
from analysis.estimates.mixed_kinds import best_kinds
from analysis.estimates.powerline import PowerLine, lines_within, power_line
from analysis.fitting.display.in_notebook import InNotebook
from analysis.table.cells import cells, resampled_means
from analysis.table.columns import as_numbers, require_positive, require_response, with_compute
from analysis.table.recognise.roles import refuse_rising
from analysis.table.remarks import remarks_of
from analysis.table.repeats import distinct
from analysis.wording import counted

PER_DECADE = 5
"""Compute bins per decade, for the envelope rule in a table without budgets."""

MIN_DRAWS = 20
"""Minimum number of resampled lines for an interval."""

Rule = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""A rule: maps x, y and compute bin of each cell to the indices of cells on the frontier."""

Line = tuple[float, float, float]
"""A line in log-log: height at the centre, slope, centre."""

AT_END = 0.7
"""Share of its budget that a run has spent at its end, at least; a milestone may have spent less."""

MIN_POINTS = 3
"""Minimum number of points for a line through the frontier."""


@dataclass(frozen=True)
class FrontierPoint:
    """One run (or mean over seeds) on the frontier. edge: whether its N is the smallest or largest in its bin."""

    x: float
    y: float
    N: float
    D: float
    n: int
    edge: bool


@dataclass(frozen=True, repr=False)
class Frontier(InNotebook):
    """The frontier points under a rule, sorted by x, and lines fitted to them (None if there are too few).

    line: y against x, a power law without irreducible loss. N_line, D_line: fitted to points not at an edge.
    """

    rule: str
    y: str
    x: str
    n_cells: int
    level: float
    resamples: int
    points: tuple[FrontierPoint, ...]
    line: PowerLine | None
    N_line: PowerLine | None
    D_line: PowerLine | None
    warnings: tuple[str, ...]

    @property
    def share_at_edge(self) -> float:
        """Return the share of points whose size is the smallest or largest at their x."""
        return sum(point.edge for point in self.points) / len(self.points)

    def table(self) -> pd.DataFrame:
        """Return the points as a table for a fit."""
        points = pd.DataFrame(list(map(vars, self.points)))
        own = points.drop(columns=[name for name in (self.x, self.y) if name in points.columns])
        return own.assign(**{self.x: points["x"], self.y: points["y"]})


def frontier(
    rows: pd.DataFrame,
    *,
    y: str = "loss",
    x: str = "C",
    rule: str = "envelope",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> Frontier:
    """Find the frontier of y against x over the means over seeds of the selected rows.

    rule: envelope (the lowest y in each compute bin or budget, unless a cheaper point is lower), pareto (no other point
    has both smaller x and smaller y), hull (the lower convex hull in log-log). Intervals: runs are resampled within
    cells and the frontier is recomputed, so they include the selection of points; where the points' deviations from
    their line, or for N and D the steps between sizes, give a wider one, it is used instead. Lines through three points
    have no interval. Raises `Refusal` with fewer.
    """
    check_words(rule=rule)
    if rule not in RULES:
        raise UserError(f"found rule={rule!r}; wanted one of {', '.join(RULES)}")
    require_response(y, (x, "N", "D"))
    rows = as_numbers(with_compute(rows) if x == "C" else rows, [x, y])
    refuse_rising(rows, y)
    require_positive(rows, [*dict.fromkeys([x, *(name for name in ("N", "D") if name in rows.columns), y])])
    sizes = [name for name in dict.fromkeys(("N", "D", x)) if name in rows.columns]
    rows = best_kinds(_complete(distinct(rows, sizes, y)), y, sizes)
    table = cells(rows, y, x).sort_values(x, kind="stable", ignore_index=True)
    bins = _bins(table, x)
    choose = RULES[rule]
    chosen = np.sort(choose(table[x].to_numpy(float), table[y].to_numpy(float), bins))  # by x, as the cells are
    points = _points(table, chosen, bins, x, y)
    if len(points) < MIN_POINTS:
        raise Refusal(
            f"the frontier has {counted(len(points), 'point')}; wanted {MIN_POINTS} or more, at different {x}"
        )
    draws = _draws(table, resampled_means(rows, table, y, resamples, seed, x), bins, choose, (x, y))
    inner = [point for point in points if not point.edge]
    room = _room(table["N"].to_numpy(float), bins, [i for i, p in zip(chosen, points, strict=True) if not p.edge])
    N_line = None if x == "N" else _line(inner, "N", [d[1] for d in draws], level, room)
    return Frontier(
        rule=rule,
        y=y,
        x=x,
        points=points,
        line=_line(points, "y", [d[0] for d in draws], level),
        N_line=N_line,
        D_line=None if x == "D" else _line(inner, "D", [d[2] for d in draws], level, room[:, ::-1]),
        n_cells=len(table),
        level=level,
        resamples=len(draws),
        warnings=(*remarks_of(rows), *_warnings(points, len(draws), resamples, N_line)),
    )


def envelope(x: np.ndarray, y: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Return the index of the lowest y in each bin, except bins where a cheaper point is lower."""
    order = np.lexsort((y, bins))
    first = np.concatenate([[True], np.diff(bins[order]) != 0])
    best = order[first]
    best = best[np.argsort(x[best], kind="stable")]
    before = np.concatenate([[np.inf], np.minimum.accumulate(y[best])[:-1]])
    return best[y[best] < before]


def pareto(x: np.ndarray, y: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Return the indices of the Pareto-optimal points: no other has x and y at most as large and one smaller."""
    order = np.lexsort((y, x))
    before = np.concatenate([[np.inf], np.minimum.accumulate(y[order])[:-1]])
    return order[y[order] < before]


def hull(x: np.ndarray, y: np.ndarray, bins: np.ndarray) -> np.ndarray:
    """Return the indices of the falling part of the lower convex hull of (log x, log y)."""
    u, v = np.log(x), np.log(y)
    kept: list[int] = []
    for i in pareto(x, y, bins):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (u[b] - u[a]) * (v[i] - v[a]) > (v[b] - v[a]) * (u[i] - u[a]):
                break
            kept.pop()
        kept.append(int(i))
    return np.array(kept, dtype=int)


RULES: dict[str, Rule] = {"envelope": envelope, "pareto": pareto, "hull": hull}


def _complete(rows: pd.DataFrame) -> pd.DataFrame:
    """Add missing N and D where they can be derived; NaN elsewhere."""
    rows = rows.copy()
    for name in ("N", "D"):
        if name not in rows.columns:
            other = "D" if name == "N" else "N"
            known = other in rows.columns and "C" in rows.columns
            rows[name] = rows["C"] / (6 * rows[other]) if known else np.nan
    return rows


def _bins(table: pd.DataFrame, x: str) -> np.ndarray:
    """Return the bin of each cell: its budget, or one of PER_DECADE bins per decade of x."""
    known = x == "C" and "budget" in table.columns and table["budget"].notna().all()
    if known and (table["C"] >= AT_END * table["budget"]).all():  # no milestones: whole batches leave C near its budget
        return pd.factorize(table["budget"], sort=True)[0]
    return np.floor(np.log10(table[x].to_numpy(float)) * PER_DECADE).astype(int)


def _points(table: pd.DataFrame, chosen: np.ndarray, bins: np.ndarray, x: str, y: str) -> tuple[FrontierPoint, ...]:
    points = []
    N = table["N"].to_numpy(float)
    for i in chosen:
        rivals = N[bins == bins[i]]
        edge = bool(np.ptp(rivals) == 0 or N[i] in (rivals.min(), rivals.max())) if np.isfinite(N[i]) else True
        row = table.iloc[i]
        points.append(
            FrontierPoint(float(row[x]), float(row[y]), float(row["N"]), float(row["D"]), int(row["n"]), edge)
        )
    return tuple(points)


def _room(N: np.ndarray, bins: np.ndarray, inner: Sequence[int]) -> np.ndarray:
    """Return how far log N* may lie below and above the best size of each bin: half a step to the next size run."""
    room = []
    for i in inner:
        logs = np.log(N[bins == bins[i]]) - np.log(N[i])
        room.append((-logs[logs < 0].max() / 2, logs[logs > 0].min() / 2))
    return np.reshape(room, (-1, 2))


def _line(
    points: Sequence[FrontierPoint],
    name: str,
    drawn: Sequence[Line | None],
    level: float,
    room: np.ndarray | None = None,
) -> PowerLine | None:
    """Fit a line with the widest of its intervals. room: of log values (n, 2), for an optimum among sizes."""
    values = np.array([getattr(point, name) for point in points])
    x = np.array([point.x for point in points])
    if len(np.unique(x)) < MIN_POINTS or not np.isfinite(values).all():
        return None
    line = power_line(x, values, level=level, may_bend=name != "y")
    if len(points) == MIN_POINTS:  # which do not show how far they lie from a line
        return line
    about = np.array([[height + slope * (line.centre - at), slope] for height, slope, at in filter(None, drawn)])
    resampled = [line.with_draws(about, level)] if len(about) >= MIN_DRAWS else []
    stepped = [line.with_draws(lines_within(x, values, room), level, "steps")] if room is not None else []
    return max([*resampled, line, *stepped], key=_width)


def _width(line: PowerLine) -> float:
    return float(np.ptp(line.exponent_interval)) if line.exponent_interval else 0.0


def _draws(
    table: pd.DataFrame, means: np.ndarray, bins: np.ndarray, choose: Rule, names: tuple[str, str]
) -> list[tuple[Line | None, Line | None, Line | None]]:
    """Find the frontier of each resample of cell means; return the lines of y, N and D."""
    X, N, D = (table[name].to_numpy(float) for name in (names[0], "N", "D"))
    inside = _inside(N, bins)
    # Most draws give one of a few frontiers: the lines of N and D are computed once per frontier.
    alike: dict[tuple[int, ...], list[int]] = {}
    for i, Y in enumerate(means):
        alike.setdefault(tuple(choose(X, Y, bins).tolist()), []).append(i)
    drawn: dict[int, tuple[Line | None, Line | None, Line | None]] = {}
    for choice, draws in alike.items():
        chosen = np.array(choice, dtype=int)
        free = chosen[inside[chosen]]
        of_N, of_D = (_fit(X[free], value[free][None])[0] for value in (N, D))
        for i, of_y in zip(draws, _fit(X[chosen], np.take(means[draws], chosen, axis=1)), strict=True):
            drawn[i] = of_y, of_N, of_D
    return [drawn[i] for i in range(len(means))]


def _inside(N: np.ndarray, bins: np.ndarray) -> np.ndarray:
    by = pd.Series(N).groupby(bins)
    return ((by.transform("min") < N) & (by.transform("max") > N)).to_numpy()


def _fit(x: np.ndarray, Y: np.ndarray) -> list[Line | None]:
    """Fit a line to each row of Y (k, n); None where there are too few points or the row is not positive."""
    if len(x) < MIN_POINTS:
        return [None] * len(Y)
    u = np.log(x)
    centre = float(u.mean())
    square = float(((u - centre) ** 2).sum())
    if square == 0:
        return [None] * len(Y)
    positive = (np.isfinite(Y) & (Y > 0)).all(axis=1)
    V = np.log(np.where(positive[:, None], Y, 1.0))
    heights, slopes = V.mean(axis=1).tolist(), (((u - centre) * V).sum(axis=1) / square).tolist()
    return [
        (height, slope, centre) if fine else None
        for height, slope, fine in zip(heights, slopes, positive.tolist(), strict=True)
    ]


def _warnings(
    points: tuple[FrontierPoint, ...], n_draws: int, resamples: int, N_line: PowerLine | None
) -> tuple[str, ...]:
    warnings = []
    edges = sum(point.edge for point in points)
    if edges:
        warnings.append(
            f"{edges} of {len(points)} frontier points are the smallest or largest size at their compute, and others "
            "might be better; they are left out of N*(C), and the law fitted to them is only as good as they are"
        )
    if MIN_POINTS in (len(points), len(points) - edges):
        warnings.append("no interval of a line through three points, which do not show how far they lie from it")
    if resamples and not n_draws:
        warnings.append(
            "intervals are of the points about their line only: there are too few seeds to resample the frontier"
        )
    if N_line is not None and N_line.interval_from == "steps":
        warnings.append("N*(C) lies between sizes that were run: its interval is of the steps between them")
    return tuple(warnings)
