"""Optima over runs of several kinds (data sets, optimisers, rates): the best kind of each setting, and a refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from itertools import combinations
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from analysis.errors import Refusal, attempt
from analysis.fitting.verdict.kind_effects import design_of, linear_p_value
from analysis.fitting.verdict.pooling import LITTLE, SCREENED, SURE
from analysis.fitting.verdict.run_residuals import f_test
from analysis.numbers import exponent, interval
from analysis.table.mixtures import mixtures_of
from analysis.table.recognise.statuses import plain_name
from analysis.table.remarks import MOST_SAID, with_remarks
from analysis.table.repeats import value_numbers
from analysis.table.select import last_rows
from analysis.wording import listed

if TYPE_CHECKING:
    import pandas as pd

    from analysis.estimates.powerline import PowerLine
    from analysis.table.mixtures import Mixture

FEWEST = 8
"""Minimum number of rows for fitting a kind alone."""
DIFFERENT = 1e-3
"""P value below which kinds of runs differ, so that means over them are of no run."""
NOT_CHOSEN = re.compile(r"(^|_)(seed|fold|replicate|replica|repeat|split|benchmark|eval|evaluation)s?($|_)")
"""Columns of repeats, whose best would be the luckiest, or of what y is measured on: means over them count."""
DEGREE = 3
"""Degree of the polynomial of log N and log C whose residuals show which of many columns are worth such fits."""


def best_kinds(rows: pd.DataFrame, y: str, by: Sequence[str]) -> pd.DataFrame:
    """Keep the best kind of runs at each setting of `by`, for kinds whose y differs (p below `DIFFERENT`).

    The runs of one setting that are left are repeats of each other, as those of several seeds.
    """
    ends = last_rows(rows)  # as the milestones of a run share its luck
    log_y, setting = np.log(ends[y].to_numpy(float)), _settings(ends, by)
    differing = [
        one.name
        for one in mixtures_of(ends)
        if not NOT_CHOSEN.search(plain_name(one.name)) and _difference(log_y, design_of(one), setting) < DIFFERENT
    ]
    if not differing:
        return rows
    setting, codes = _settings(rows, by), [one.code for one in mixtures_of(rows) if one.name in differing]
    kinds = rows.assign(mean=np.log(rows[y].to_numpy(float))).groupby([setting, *codes], sort=False)["mean"]
    mean = kinds.transform("mean")
    remark = f"of runs with the same {' and '.join(by)} only those of the best {listed(differing)} count"
    return with_remarks(rows[mean == mean.groupby(setting).transform("min")], remark).reset_index(drop=True)


def _settings(rows: pd.DataFrame, by: Sequence[str]) -> np.ndarray:
    """Number the settings of rows (n,): by their values of these columns, up to rounding."""
    return rows.groupby([value_numbers(rows[name].to_numpy(float)) for name in by], sort=False).ngroup().to_numpy()


def _difference(log_y: np.ndarray, design: np.ndarray, setting: np.ndarray) -> float:
    """Return the p value of a difference between kinds (k, n) at the same setting; 1 where no setting has several."""
    count = np.bincount(setting)
    if count.max() == 1 or not len(design):
        return 1.0
    rest, *kinds = (row - (np.bincount(setting, row) / count)[setting] for row in (log_y, *design))
    gram, along = np.stack(kinds) @ np.transpose(kinds), np.stack(kinds) @ rest
    rank, before = int(np.linalg.matrix_rank(gram, hermitian=True)), float(rest @ rest)
    after = before - float(along @ np.linalg.pinv(gram, hermitian=True) @ along)
    spare = len(log_y) - len(count) - rank
    return f_test(before, max(after, 1e-12 * before), rank, spare) if rank and spare > 0 and before > 0 else 1.0


def refuse_mixed_kinds(
    rows: pd.DataFrame, pooled: PowerLine | None, find: Callable[[pd.DataFrame], PowerLine | None], *, y: str
) -> None:
    """Raise `Refusal` where the exponent of N* of one kind of runs alone differs significantly from another's.

    pooled: the line of all rows, treated as one more kind. find: returns the line of some rows. y: the response.
    Columns that the user pools are not checked.
    """
    mixtures = [mixture for mixture in mixtures_of(rows) if not mixture.pooled]
    for mixture in _suspects(rows, y, mixtures) if len(mixtures) > MOST_SAID else mixtures:
        lines = {f"{value} alone": _alone(rows, mixture.code == k, find) for k, value in enumerate(mixture.values)}
        for (one, here), (other, there) in combinations({**lines, "all together": pooled}.items(), 2):
            if here and there and _apart(here, there):
                raise Refusal(
                    f"{mixture.words}, and the exponent of N* is {_words(here)} of {one}, {_words(there)} of {other}; "
                    f'choose one with --where, or say with --pool "{mixture.name}" that it may differ'
                )


def _suspects(rows: pd.DataFrame, y: str, mixtures: Sequence[Mixture]) -> list[Mixture]:
    """Return the columns whose kinds may differ, by their effects on a smooth surface through log y."""
    sizes = [logs / max(float(logs.std()), 1e-12) for logs in (_centred_log(rows, name) for name in ("N", "C"))]
    powers = [(i, j) for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)]
    surface = np.stack([sizes[0] ** i * sizes[1] ** j for i, j in powers])
    log_y = _centred_log(rows, y)
    rest = log_y - np.linalg.lstsq(surface.T, log_y, rcond=1e-10)[0] @ surface
    return [one for one in mixtures if linear_p_value(rest, surface, sizes, one) < SCREENED]


def _centred_log(rows: pd.DataFrame, name: str) -> np.ndarray:
    logs = np.log(rows[name].to_numpy(float))
    return logs - logs.mean()


def _alone(rows: pd.DataFrame, which: np.ndarray, find: Callable[[pd.DataFrame], PowerLine | None]) -> PowerLine | None:
    """Return the line of the selected rows; None where there are too few or no line is found."""
    if which.sum() < FEWEST:
        return None
    some = rows[which].reset_index(drop=True)
    some.attrs = {}
    return attempt(lambda: find(some))[0]


def _words(line: PowerLine) -> str:
    return f"{exponent(line.exponent)} {interval(line.exponent_interval, exponent)}"


def _apart(one: PowerLine, other: PowerLine) -> bool:
    """Tell whether two exponents differ significantly, by their resamples; intervals from scatter are not used.

    As many columns with many values are compared, disjoint 95 % intervals are not sufficient.
    """
    here, there = one.exponent_interval, other.exponent_interval
    if {one.interval_from, other.interval_from} != {"resamples"} or here is None or there is None:
        return False
    deviation = float(np.hypot(np.ptp(here), np.ptp(there))) / 2 / NormalDist().inv_cdf((1 + one.level) / 2)
    return abs(one.exponent - other.exponent) > max(SURE * deviation, LITTLE * abs(other.exponent))
