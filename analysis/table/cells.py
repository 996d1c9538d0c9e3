"""Cells: runs that differ only in seed, their means and compute budgets; rows that repeat another."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pandas as pd

from analysis.errors import Refusal
from analysis.numbers import flops, percent
from analysis.table.columns import require_columns
from analysis.table.remarks import with_remarks
from analysis.table.select import RECIPE, origins, with_rules
from analysis.wording import counted

IDENTITY = (
    *("family", "width", "depth", "expansion", "data", "D_unique", "budget", "N", "D", "C", "run_D", *RECIPE),
    "batch_rule",
)
"""Columns on which the runs of one cell agree; only the seed differs."""

GAP = 0.1
"""Gap in log10 C that separates two compute budgets, in a table without a column budget."""

SPREAD = 0.3
"""Maximum spread in log10 C of the runs of one budget."""
OFF = 5.0
"""Factor between a column budget and C from which the budget is not in FLOPs."""
NEARLY = 0.05
"""Minimum distance in log C between two budgets for computing a slope."""
NEAR = 5e-5
"""Relative difference up to which two inputs count as one setting. Numbers written with five digits differ by less, and
so do runs that end a few examples apart; the effect on a loss is below any noise."""
SAME = 2e-7
"""Relative difference up to which two responses count as equal: 32-bit rounding."""
ROUNDED = 1e-3
"""The same for a response that may be the other one written with fewer digits."""
FEWER = 2
"""Minimum number of decimals that such a response has less; one less may be a last digit that happens to be zero."""


def cells(rows: pd.DataFrame, y: str, x: str = "C") -> pd.DataFrame:
    """Average y over runs that differ only in seed. x: a further column on which they agree.

    Columns of the result: the table's identity columns; y; n (runs); spread (relative standard deviation, NaN for one
    run); cell (numbered in order of appearance); run_ids (list, if there are any).
    """
    keys = _keys(rows, y, x)
    require_columns(rows, [name for name in ("N", "D", "C", y) if name in rows.columns])
    numbers = rows.assign(**{y: pd.to_numeric(rows[y])})
    groups = numbers.groupby(keys, dropna=False, sort=False)
    mean = groups[y].agg(["mean", "std", "size"]).reset_index()
    mean["cell"] = np.arange(len(mean))
    mean = mean.rename(columns={"mean": y, "std": "spread", "size": "n"})
    mean["spread"] = mean["spread"] / mean[y].abs()
    if "run_id" in rows.columns:
        mean["run_ids"] = groups["run_id"].agg(list).to_numpy()
    return mean


def _keys(rows: pd.DataFrame, y: str, x: str = "C") -> list[str]:
    """Return the columns that runs of one cell share."""
    return [name for name in dict.fromkeys([*IDENTITY, x]) if name in rows.columns and name != y]


def has_repeats(rows: pd.DataFrame) -> bool:
    """Tell whether some runs differ only in seed."""
    keys = _keys(rows, "")
    return bool(keys) and bool(rows.duplicated(keys).any())


def seed_deviations(rows: pd.DataFrame, y: str, keys: Sequence[str] | None = None) -> np.ndarray:
    """Return the relative deviations of runs from their cell mean, scaled for the degrees of freedom.

    keys: the columns on which the runs of one cell agree (default: the identity columns). Cells with one run are left
    out; the result may be empty.
    """
    groups = rows.groupby(list(keys or _keys(rows, y)), dropna=False, sort=False)[y]
    mean, n = groups.transform("mean").to_numpy(float), groups.transform("size").to_numpy(float)
    many = n > 1
    return (rows[y].to_numpy(float)[many] / mean[many] - 1) * np.sqrt(n[many] / (n[many] - 1))


def resampled_means(rows: pd.DataFrame, table: pd.DataFrame, y: str, k: int, seed: int, x: str = "C") -> np.ndarray:
    """Resample the runs of each cell with replacement; return the means (k, cells) in the order of the table's cells.

    All milestones of a run, and the stages that started from them, are drawn together. Deviations are scaled for the
    degrees of freedom. Empty (0, cells) where fewer than half of the cells have two runs.
    """
    if k == 0 or (table["n"] > 1).mean() < 0.5:
        return np.empty((0, len(table)))
    keys = _keys(rows, y, x)
    cell = rows.groupby(keys, dropna=False, sort=False).ngroup().to_numpy()
    position = np.empty(len(table), dtype=int)
    position[table["cell"].to_numpy(int)] = np.arange(len(table))
    cell = position[cell]
    run = pd.factorize(origins(rows))[0]
    fixed = [name for name in keys if name not in ("D", "C")]
    whole = [*fixed, *(["D"] if "D" in rows.columns and "run_D" not in rows.columns else [])]
    config = rows.groupby(whole, dropna=False, sort=False).ngroup().to_numpy() if whole else cell
    weights = _weights(run, config, k, np.random.default_rng(seed))[:, run]
    value = rows[y].to_numpy(float)
    order = np.argsort(cell, kind="stable")
    starts = np.searchsorted(cell[order], np.arange(len(table)))
    total = np.add.reduceat((weights * value)[:, order], starts, axis=1)
    number = np.add.reduceat(weights[:, order], starts, axis=1)
    mean, n = table[y].to_numpy(float), table["n"].to_numpy(float)
    drawn = np.divide(total, number, out=np.broadcast_to(mean, total.shape).copy(), where=number > 0)
    return mean + (drawn - mean) * np.sqrt(n / np.maximum(n - 1, 1))


def _weights(run: np.ndarray, config: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return how often each run is drawn among the runs of its configuration, (k, runs)."""
    n_runs = int(run.max()) + 1
    of_run = np.empty(n_runs, dtype=int)
    of_run[run] = config
    weights = np.zeros((k, n_runs))
    for members in pd.Series(np.arange(n_runs)).groupby(of_run).agg(list):
        n = len(members)
        weights[:, members] = rng.multinomial(n, np.full(n, 1 / n), size=k)
    return weights


def budgets(rows: pd.DataFrame) -> pd.Series:
    """Return the compute budget of each row in FLOPs: the column budget, or the centre of its cluster in log C.

    A column budget far from C names budgets, or is in other units: then each is the median C of its rows. Raises
    `Refusal` where C does not fall into clusters.
    """
    if "budget" in rows.columns and rows["budget"].notna().all():
        given = rows["budget"].astype(float)
        own = rows["C"].groupby(given).transform("median") if "C" in rows.columns else given
        with np.errstate(all="ignore"):
            return own if np.median(np.abs(np.log(given / own))) > np.log(OFF) else given
    require_columns(rows, ["C"])
    log_C = np.log10(rows["C"].to_numpy(float))
    order = np.argsort(log_C, kind="stable")
    label = np.empty(len(rows), dtype=int)
    label[order] = np.concatenate([[0], np.cumsum(np.diff(log_C[order]) > GAP)])
    centres = np.empty(label.max() + 1)
    for group in range(len(centres)):
        members = log_C[label == group]
        if np.ptp(members) > SPREAD:
            raise Refusal(
                f"C does not fall into budgets: from {flops(10 ** members.min())} to {flops(10 ** members.max())} "
                f"FLOPs it has no gap of {GAP} decades; wanted several sizes at each of a few budgets, or a column "
                "budget"
            )
        centres[group] = 10 ** np.median(members)
    return pd.Series(centres[label], index=rows.index)


def at_budget(table: pd.DataFrame, y: str) -> pd.DataFrame:
    """Adjust each cell's y from the C actually spent to its nominal budget, along the loss curve of its size.

    Whole batches make large models at small budgets fall short by up to a batch, which tilts the curve over N. The
    slope of log y in log C is taken between neighbouring budgets; a size run at one budget is not adjusted.
    """
    shape = [name for name in ("family", "width", "depth", "expansion", "data", "N", *RECIPE) if name in table.columns]
    log_C, log_y = np.log(table["C"].to_numpy(float)), np.log(table[y].to_numpy(float))
    short = np.log(table["budget"].to_numpy(float)) - log_C
    moved = log_y.copy()
    for members in with_rules(table).groupby(shape, dropna=False, sort=False).indices.values():
        order = np.asarray(members)[np.argsort(log_C[members], kind="stable")]
        if len(order) > 1 and (np.diff(log_C[order]) > NEARLY).all():
            moved[order] += np.gradient(log_y[order], log_C[order]) * short[order]
    return table.assign(**{y: np.exp(moved)}, short=short)


def moved_words(table: pd.DataFrame) -> tuple[str, ...]:
    """Say by how much C differs from its budget, where by 2 % or more."""
    most = float(-np.expm1(-table["short"].abs().max()))
    if most < 0.02:
        return ()
    return (f"C differs from its budget by up to {percent(most)}; losses are moved to it along each size's own curve",)


def value_numbers(values: np.ndarray) -> np.ndarray:
    """Number positive values (n,) from the smallest; those within `NEAR` of the first of a number share it."""
    distinct, which = np.unique(np.log(values), return_inverse=True)
    if not (np.diff(distinct) <= NEAR).any():
        return which
    firsts, next_first = [0], np.searchsorted(distinct, distinct + NEAR, side="right").tolist()
    while next_first[firsts[-1]] < len(distinct):
        firsts.append(next_first[firsts[-1]])
    return np.searchsorted(firsts, np.arange(len(distinct)), side="right")[which] - 1


def without_repeats(rows: pd.DataFrame, columns: Sequence[str], y: str) -> tuple[pd.DataFrame, int]:
    """Drop rows that repeat another: same run, inputs and y, up to rounding.

    Rows of another seed with the same loss are kept.
    """
    keys = {name: value_numbers(rows[name].to_numpy(float)) for name in columns}
    keys |= {name: rows[name].to_numpy() for name in ("run_id", "seed", "step") if name in rows.columns}
    group = rows.assign(**keys).groupby(list(keys), dropna=False, sort=False).ngroup().to_numpy()
    value = rows[y].to_numpy(float)
    order = np.lexsort((value, group))
    apart = np.where(np.diff(group[order]) == 0, np.diff(value[order]), np.inf)
    size = np.abs(value[order][1:])
    repeated = list(order[1:][apart <= SAME * size])
    short = _has_few_digits(value[order])
    near = (apart > SAME * size) & (apart <= ROUNDED * size) & (short[1:] | short[:-1])
    for k in np.flatnonzero(near):
        fewer, more = sorted(order[k : k + 2].tolist(), key=lambda row: _decimals(value[row].item()))
        written, exact = _decimals(value[fewer].item()), _decimals(value[more].item())
        if exact - written >= FEWER and round(value[more].item(), written) == value[fewer]:
            repeated.append(fewer)
    if not repeated:
        return rows, 0
    kept = np.ones(len(rows), dtype=bool)
    kept[repeated] = False
    return rows[kept].reset_index(drop=True), int((~kept).sum())


def _has_few_digits(values: np.ndarray) -> np.ndarray:
    """Tell which values (n,) have eight digits at most, as one that is rounded by more than `SAME` has."""
    with np.errstate(all="ignore"):
        digits = values / 10.0 ** np.floor(np.log10(np.abs(values)))
    return np.abs(np.round(digits, 7) - digits) < 1e-12


def distinct(rows: pd.DataFrame, columns: Sequence[str], y: str) -> pd.DataFrame:
    """Drop rows that repeat another in the given columns (as far as they exist), with a remark."""
    rows, repeated = without_repeats(rows, [name for name in columns if name in rows.columns], y)
    return with_remarks(rows, *([f"left out: {counted(repeated, 'row')} that repeat another"] if repeated else []))


def _decimals(value: float) -> int:
    """Return the number of decimals with which a number is written."""
    return -int(Decimal(repr(value)).as_tuple().exponent)
