"""Turn a table's rows into the arrays of a fit, or raise an error that says what is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from analysis.errors import Refusal, UserError
from analysis.laws import LAWS
from analysis.laws.base import Array, Law, Units
from analysis.numbers import measured, number
from analysis.table.columns import as_numbers, require_positive, require_response
from analysis.table.mixtures import mixtures_of
from analysis.table.recognise.roles import other_measure, proposals, refuse_rising
from analysis.table.remarks import remarks_of
from analysis.table.repeats import repeats_words, value_numbers, without_repeats
from analysis.table.select import RECIPE, origins, select_rows
from analysis.table.training_details import training_details
from analysis.wording import in_quotes, listed, ticked

if TYPE_CHECKING:
    from analysis.table.mixtures import Mixture


@dataclass(frozen=True)
class Selection:
    """Which rows of a table a fit may use (see `analysis.table.select.select_rows`)."""

    rows: Literal["final", "all"] = "final"
    where: str | None = None
    pool: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    task: str | None = None
    run_column: str | None = None


@dataclass(frozen=True)
class Points:
    """The rows of one fit: raw inputs and response (n,), run and seed numbers, weights.

    details: training details by row, such as steps and rate (see `analysis.table.training_details`).
    metric: of the loss, such as cross_entropy; empty where it is not known. runs_named: whether the table says which
    run a row is of; without, each row counts as a run.
    """

    inputs: dict[str, Array]
    y: Array
    run: Array
    seed: Array | None
    weights: Array
    columns: dict[str, str]
    left_out: tuple[str, ...]
    flops_per_nd: float
    y_se: float
    data_hash: str
    remarks: tuple[str, ...] = ()
    details: Mapping[str, Array] = field(default_factory=dict)
    mixtures: tuple[Mixture, ...] = ()
    metric: str = ""
    runs_named: bool = False

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.y)

    @property
    def n_runs(self) -> int:
        """Number of runs."""
        return int(self.run.max()) + 1

    @property
    def size(self) -> Array:
        """The size of each row (n,): the product of its inputs except D_unique."""
        logs = [np.log(x) for name, x in self.inputs.items() if name != "D_unique"]
        return np.exp(np.round(np.sum(logs, axis=0), 9))

    def units(self, shared: Mapping[str, str]) -> Units:
        """Return the centres that make the fit scale-free. shared: maps an input to the input whose centre it uses."""
        log_inputs = {name: float(np.log(self.inputs[shared.get(name, name)]).mean()) for name in self.inputs}
        return Units(log_inputs, float(np.log(np.median(np.abs(self.y)))))

    def take(self, mask: Array) -> Points:
        """Keep some rows."""
        return replace(
            self,
            inputs={name: x[mask] for name, x in self.inputs.items()},
            y=self.y[mask],
            run=codes(self.run[mask]),
            seed=None if self.seed is None else codes(self.seed[mask]),
            weights=self.weights[mask],
            details={name: values[mask] for name, values in self.details.items()},
            mixtures=tuple(one.take(mask) for one in self.mixtures),
        )


def read_points(table: pd.DataFrame, law: Law, *, y: str, x: str | None, space: str, selection: Selection) -> Points:
    """Select rows and read the law's columns. Raises `UserError` or `Refusal` where they cannot be fitted."""
    columns = input_columns(table, law, x)
    if not isinstance(y, str):
        raise UserError(f"found y={y!r}; wanted the name of a column, such as 'loss'")
    require_response(y, columns.values())
    chosen, left_out = _chosen(table, list(columns.values()), y, selection, may_rise=law.name not in LAWS)
    values = {name: chosen[column].to_numpy(dtype=float) for name, column in columns.items()}
    response = _response(chosen, y, space)
    points = Points(
        inputs=values,
        y=response,
        run=codes(np.asarray(origins(chosen))),  # the stages of one training run are drawn together
        seed=codes(chosen["seed"].to_numpy()) if "seed" in chosen.columns and chosen["seed"].notna().all() else None,
        weights=np.ones(len(chosen)),
        columns=columns,
        left_out=tuple(left_out),
        flops_per_nd=_flops_per_nd(chosen),
        y_se=_median(chosen, f"{y}_se"),
        data_hash=_hash(values, response),
        remarks=(*remarks_of(chosen, mixed=False), *(other_measure(y) if space == "log" else ())),
        details=training_details(table, chosen, y, selection.run_column),
        mixtures=tuple(one for one in mixtures_of(chosen) if one.name not in columns.values()),
        metric=metric_of(chosen),
        runs_named="run_id" in chosen.columns,
    )
    check_determined(points, law)
    return points


def _chosen(
    table: pd.DataFrame, columns: list[str], y: str, selection: Selection, *, may_rise: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Select distinct rows with positive numbers in the columns; return them and sentences on rows left out.

    may_rise: whether y may rise with the inputs, as for a custom law.
    """
    free = (*selection.pool, *(column for column in columns if column in RECIPE))
    chosen, left_out = select_rows(table, y=y, along=columns, **vars(replace(selection, pool=free)))
    chosen = as_numbers(chosen, columns)
    require_positive(chosen, columns)
    if not may_rise:
        refuse_rising(chosen, y)
    chosen, repeated = without_repeats(chosen, columns, y)
    return chosen, [*left_out, *([repeats_words(repeated)] if repeated else [])]


def metric_of(rows: pd.DataFrame) -> str:
    """Return the metric of the rows' loss; empty where they do not name one, or name several."""
    known = list(rows["metric"].dropna().unique()) if "metric" in rows.columns else []
    return str(known[0]) if len(known) == 1 else ""


def _response(rows: pd.DataFrame, y: str, space: str) -> Array:
    """Return y as an array; raise `UserError` where space="log" and some y <= 0."""
    response = rows[y].to_numpy(dtype=float)
    bad = int((response <= 0).sum())
    if space == "log" and bad == len(response):
        raise UserError(
            f"found no row with {y} > 0, so no logarithm; wanted a loss; of a log-likelihood take "
            f"--derive {in_quotes(f'loss = -{ticked(y)}')}, or take --space raw"
        )
    if space == "log" and bad:
        raise UserError(
            f"found {bad} of {len(response)} rows with {y} <= 0, which has no logarithm; "
            f"leave them out (--where {in_quotes(f'{ticked(y)} > 0')}) or take --space raw"
        )
    return response


def input_columns(table: pd.DataFrame, law: Law, x: str | None) -> dict[str, str]:
    """Return the table's column for each input of the law."""
    if not isinstance(x, str | None):
        raise UserError(f"found x={x!r}; wanted the name of a column, such as 'C'")
    if not law.of_one_variable:
        if x is not None and (x,) != law.inputs:
            raise UserError(f"found x={x!r} for {law.name}, a law in {', '.join(law.inputs)}; leave x out")
        missing = [name for name in law.inputs if name not in table.columns]
        if missing:
            raise UserError(
                f"found no column {missing[0]!r}, which the law {law.name} needs (it needs {', '.join(law.inputs)}); "
                f"the table has {listed(table.columns)}; {proposals(table, missing[0])}"
            )
        return {name: name for name in law.inputs}
    if x is None:
        present = [name for name in ("C", "D", "N") if name in table.columns]
        if not present:
            raise UserError(f"found no column C, D or N for the law {law.name}; name its variable with x")
        x = present[0]
    return {"x": x}


def check_determined(points: Points, law: Law) -> None:
    """Raise `Refusal` where the data cannot determine the law: too few points or settings, or a constant input."""
    n, p = points.n, len(law.params)
    distinct = len(np.unique(setting_numbers(points.inputs)))
    if n < p + 1:
        raise Refusal(
            f"found {n} point{'s' if n != 1 else ''}; the law {law.name} has {p} parameters and needs at least {p + 1} "
            f"points ({3 * p} for its exponents)"
        )
    for name, values in points.inputs.items():
        if np.ptp(np.log(values)) < 1e-9:
            raise Refusal(
                f"found one value of {points.columns[name]} ({number(values[0])}) in all {n} points; the law "
                f"{law.name} cannot be fitted in it; add runs at other values of {points.columns[name]}"
            )
    if distinct < p:
        raise Refusal(
            f"found {distinct} distinct settings of {', '.join(points.columns.values())} in {n} points; the law "
            f"{law.name} has {p} parameters and needs at least {p} settings; add runs at other settings"
        )
    if lacking := law.lacks(points.inputs):
        raise Refusal(f"found {lacking}")
    if np.ptp(points.y) == 0:
        raise Refusal(f"found the same response {measured(points.y[0])} in all {n} points, so nothing scales")


def setting_numbers(inputs: Mapping[str, Array]) -> Array:
    """Return one number per row that identifies its setting: rows with equal inputs, up to rounding, share it."""
    found = np.zeros(1, dtype=int)
    for x in inputs.values():
        number = value_numbers(x)
        found = codes(found * (int(number.max()) + 1) + number)
    return found


def codes(values: Array) -> Array:
    """Number the distinct values 0, 1, … in order of first appearance."""
    return pd.factorize(values, use_na_sentinel=False)[0]


def _flops_per_nd(rows: pd.DataFrame) -> float:
    """Return the median C / (N D) of the rows; 6 where a column is missing (Kaplan et al. 2020)."""
    if not {"N", "D", "C"} <= set(rows.columns):
        return 6.0
    try:
        with np.errstate(all="ignore"):
            ratio = rows["C"].to_numpy(dtype=float) / (
                rows["N"].to_numpy(dtype=float) * rows["D"].to_numpy(dtype=float)
            )
    except (TypeError, ValueError):
        return 6.0
    ratio = ratio[np.isfinite(ratio) & (ratio > 0)]
    return float(np.median(ratio)) if len(ratio) else 6.0


def _median(rows: pd.DataFrame, column: str) -> float:
    """Return the median of a numeric column; nan where the column is missing or empty."""
    if column not in rows.columns:
        return float("nan")
    values = rows[column].to_numpy(dtype=float, na_value=np.nan)
    return float(np.nanmedian(values)) if np.isfinite(values).any() else float("nan")


def _hash(inputs: dict[str, Array], y: Array) -> str:
    """Return the SHA-256 (16 hex digits) of the numbers used, independent of row order."""
    matrix = np.stack([*inputs.values(), y], axis=1)
    ordered = matrix[np.lexsort(matrix.T)]
    return hashlib.sha256(np.ascontiguousarray(ordered).tobytes()).hexdigest()[:16]
