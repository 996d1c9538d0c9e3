"""Columns of an external table that split its rows into kinds: an experiment, a data set, an optimiser, a rate."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from analysis.table.recognise.clusters import is_run_name
from analysis.table.recognise.roles import role_of
from analysis.table.recognise.statuses import is_status, plain_name
from analysis.table.remarks import MIXED, POOLED
from analysis.table.swept import is_swept
from analysis.wording import listed

OURS = {"run_id", "lr_rule", "overrides"}
"""Columns that identify a table of `scaling`, whose recipes are compared by `RECIPE`."""
OUR_KINDS = ("family", "data")
"""Columns of such a table that split it into kinds, as the settings that its sweep varies do."""
SETTINGS = re.compile(
    r"(^|_)(lr|learning_rate|rate|batch|batch_size|bs|weight_decay|wd|warmup|warmup_steps|dropout|momentum|beta1|beta2|"
    r"label_smoothing|clip|experts|num_experts|n_experts|top_k|granularity|sparsity|capacity_factor|resolution|patch_size|"
    r"temperature|seq_len|sequence_length|context|context_length|vocab|vocab_size|version|fold|"
    r"experiment|group|dataset|data|corpus|family|exp|study|phase|scheme|optimizer|optimiser|optim|schedule)($|_)"
)
"""Column names of run settings (not sizes, not results); these may be numeric."""
NAMES = ("host", "hostname", "user", "created", "date", "time", "timestamp", "url", "path", "notes", "tags", "git")
"""Names of text columns that do not describe the run."""
MOST_VALUES = 40
"""Number of text values above which a column names runs, not kinds of runs."""
SIZED = 0.9
"""Share of the values of N with one value of a model's setting, from which the setting is a part of the size."""
ALIKE = 0.98
"""Rank correlation with a size from which a setting with mostly distinct values counts as a function of it."""


@dataclass(frozen=True)
class Mixture:
    """A column that holds several kinds of runs.

    code: the number of each row's value (n,); values: as text; numbers: (n,), for a setting with positive numbers.
    follows: the size (N, D or C) that the column determines, so that their effects are confounded. pooled: whether the
    user allows the column to differ.
    """

    name: str
    code: np.ndarray
    values: tuple[str, ...]
    numbers: np.ndarray | None = None
    follows: str = ""
    pooled: bool = False

    @property
    def words(self) -> str:
        """Return a phrase that says which kinds are pooled."""
        return f"runs of {len(self.values)} values of {self.name} ({listed(self.values, 4)}) are pooled"

    def take(self, mask: np.ndarray) -> Mixture:
        """Keep some rows."""
        return replace(self, code=self.code[mask], numbers=None if self.numbers is None else self.numbers[mask])


def with_mixtures(rows: pd.DataFrame, pool: Sequence[str], y: str) -> pd.DataFrame:
    """Return the rows with their mixed columns noted, and which of them the user pools."""
    ours = set(rows.columns) >= OURS
    found = _own_kinds(rows) if ours else [name for name in rows.columns if name != y and _splits(rows, name)]
    rows.attrs[POOLED] = sorted({*pool, *rows.attrs.get(POOLED, ())})
    rows.attrs[MIXED] = {name: one.words for name, one in _mixtures(rows, found).items()}
    return rows


def mixtures_of(rows: pd.DataFrame) -> tuple[Mixture, ...]:
    """Return the mixed columns noted in selected rows."""
    return tuple(_mixtures(rows, [name for name in rows.attrs.get(MIXED, {}) if name in rows.columns]).values())


def _mixtures(rows: pd.DataFrame, names: Sequence[str]) -> dict[str, Mixture]:
    """Return the mixtures of these columns by name."""
    pooled, bare = rows.attrs.get(POOLED, ()), rows.copy(deep=False)
    bare.attrs = {}  # pandas copies attrs with every column
    return {name: _mixture(bare, name, name in pooled) for name in names}


def _mixture(rows: pd.DataFrame, name: str, pooled: bool) -> Mixture:
    column = rows[name]
    numbers = None
    if pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column):
        code, values = pd.factorize(column, sort=True, use_na_sentinel=False)
        if (column > 0).all():
            numbers = column.to_numpy(float)
        words = tuple("nothing" if np.isnan(value) else f"{value:g}" for value in np.asarray(values, dtype=float))
    else:
        code, values = pd.factorize(column.astype(object).where(column.notna(), "nothing").map(str), sort=True)
        words = tuple(map(str, values))
    return Mixture(name, code, words, numbers, _follows(rows, name), pooled)


def _splits(rows: pd.DataFrame, name: str) -> bool:
    """Tell whether a column of settings or text has several values, most of them in several rows."""
    word, column = plain_name(name), rows[name]
    role = role_of(name)
    if role or word in (*NAMES, "seed", "final", "task", "step") or is_run_name(name):
        return False
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    if numeric and not SETTINGS.search(word):
        return False
    if not numeric and not column.dropna().map(lambda value: isinstance(value, str | bool | np.bool_)).all():
        return False
    sizes = column.value_counts(dropna=False)
    if (
        len(sizes) < 2
        or is_status(column, name)
        or (not numeric and (len(sizes) > MOST_VALUES or (sizes > 1).mean() < 0.5))
    ):
        return False
    return bool(SETTINGS.search(word)) or not _follows(rows, name)


def _own_kinds(rows: pd.DataFrame) -> list[str]:
    """Return the columns that split the runs of a sweep into kinds; of several that split them alike, the first."""
    found: dict[tuple[int, ...], str] = {}
    for name in rows.columns:
        code = pd.factorize(rows[name].astype(str))[0] if name in OUR_KINDS or is_swept(name) else ()
        if len(set(code)) > 1 and (name in OUR_KINDS or not (_follows(rows, name) or _is_size(rows, name))):
            found.setdefault(tuple(code), name)
    return list(found.values())


def _is_size(rows: pd.DataFrame, name: str) -> bool:
    """Return whether a model's setting is a part of the size: a number that N tells, or a name of one N each.

    A number is, say, a count of blocks; a name is a preset (small, base). Other text that N tells may be a kind of its
    own, as gated layers are, which have more weights.
    """
    if not name.startswith("model."):
        return False
    told = rows.groupby("N")[name].nunique(dropna=False) <= 1
    if pd.api.types.is_numeric_dtype(rows[name]):
        return bool(told.mean() > SIZED)
    return bool(told.all() and (rows.groupby(name, dropna=False)["N"].nunique() <= 1).all())


def _follows(rows: pd.DataFrame, name: str) -> str:
    """Return the size (N, D or C) that is determined by a column, so confounded with it; '' if there is none."""
    column, sizes = rows[name], [size for size in ("N", "D", "C") if size in rows.columns]
    if column.nunique() > len(rows) / 2:
        ranks = column.rank() if pd.api.types.is_numeric_dtype(column) else None
        return next((size for size in sizes if ranks is not None and abs(ranks.corr(rows[size].rank())) > ALIKE), "")
    groups = rows.groupby(name, dropna=False, sort=False)
    return next((size for size in sizes if (groups[size].nunique() <= 1).all()), "")
