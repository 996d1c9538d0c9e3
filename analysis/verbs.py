"""The verbs of the command line as functions of a table: for notebooks, exported by scaling.analysis.

A table is a DataFrame, or the path of a results folder or of a file. Each function takes the options that choose rows,
as `fit` does: where, pool, keep, task, rows, run_column.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from analysis.errors import UserError, check_words
from analysis.estimates.allocate import ApproachComparison, Use, constrained_forms
from analysis.estimates.allocate import allocate as allocate_rows
from analysis.estimates.backtest import Backtest, backtest
from analysis.estimates.compared_groups import two_of
from analysis.estimates.forecast import Forecast, forecast
from analysis.estimates.frontier import Frontier
from analysis.estimates.frontier import frontier as frontier_of_rows
from analysis.estimates.frontier_law import fit_frontier
from analysis.estimates.isoflop import IsoFlop
from analysis.estimates.isoflop import isoflop as isoflop_of_rows
from analysis.estimates.multiplier import Comparison
from analysis.estimates.multiplier import compare as compare_groups
from analysis.estimates.suggest.ledger import Ledger, read_ledger
from analysis.estimates.suggest.suggest import Suggestion, suggest
from analysis.fitting.fit import fit
from analysis.fitting.points import Selection
from analysis.fitting.result import Fit
from analysis.fitting.settings import settings_of
from analysis.laws import Law, own_law
from analysis.table.read import derive_column, load_table, rename_columns
from analysis.table.remarks import with_left_out, with_pooled
from analysis.table.select import select_rows

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes

    from analysis.report.page import Report

__all__ = [
    "ApproachComparison",
    "Backtest",
    "Comparison",
    "Fit",
    "Forecast",
    "Frontier",
    "IsoFlop",
    "Ledger",
    "Suggestion",
    "allocate",
    "backtest",
    "columns",
    "compare",
    "fit",
    "fit_frontier",
    "forecast",
    "frontier",
    "isoflop",
    "load_table",
    "own_law",
    "plot",
    "read_ledger",
    "report",
    "suggest",
]


def columns(table: pd.DataFrame | str | Path, derive: Sequence[str] = (), **names: str) -> pd.DataFrame:
    """Return a table with columns named and computed: columns(t, N="Model Size", derive=["D = C/(6*N)"])."""
    frame = load_table(rename_columns(load_table(table), names))
    for assignment in (derive,) if isinstance(derive, str) else derive:
        frame = derive_column(frame, assignment)
    return frame


def frontier(
    table: pd.DataFrame | str | Path,
    *,
    y: str = "loss",
    x: str = "C",
    rule: Literal["envelope", "pareto", "hull"] = "envelope",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    **selection: Any,
) -> Frontier:
    """Find the best runs at each cost (x); `fit_frontier(found, "power")` fits a law to them.

    Raises `Refusal` where fewer than three points are on it.
    """
    settings_of(resamples=resamples, level=level, seed=seed)
    rows = _rows(table, y, selection, (x,))
    return frontier_of_rows(rows, y=y, x=x, rule=rule, resamples=resamples, level=level, seed=seed)


def isoflop(
    table: pd.DataFrame | str | Path,
    *,
    y: str = "loss",
    shape: Literal["parabola", "chinchilla"] = "parabola",
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    **selection: Any,
) -> IsoFlop:
    """Find the best size at each compute budget, and fit the law N*(C) to those inside the grid.

    Raises `Refusal` where C does not fall into budgets of several sizes.
    """
    check_words(shape=shape)
    if shape not in ("parabola", "chinchilla"):
        raise UserError(f"found shape={shape!r}; wanted parabola or chinchilla")
    settings_of(resamples=resamples, level=level, seed=seed)
    rows = _rows(table, y, selection)
    return isoflop_of_rows(rows, y=y, shape=shape, resamples=resamples, level=level, seed=seed)


def allocate(
    table: pd.DataFrame | str | Path,
    *,
    at: float | Sequence[float] = (),
    y: str = "loss",
    inference: float | None = None,
    reach: float | None = None,
    law: str | Law = "chinchilla",
    measured: str | Path | None = None,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    **selection: Any,
) -> ApproachComparison:
    """Compute how to split compute between N and D, by three approaches, and whether they agree.

    at: target C in FLOPs. An approach without an answer is refused with its reason. inference: number of examples at
    inference; the result then has `lifetimes`, the cheapest models over training and inference by the law, for the
    optimal response at each C, and for the response `reach`. measured: the efficiency.csv of `scaling measure`, to
    minimise the cost in seconds as well. fix, tie: constraints on the laws' parameters.
    """
    settings_of(resamples=resamples, level=level, seed=seed)
    targets = _computes(at)
    frame = load_table(table)
    rows = _rows(frame, y, {**selection, "rows": "final"})
    milestones = _rows(frame, y, selection) if selection.get("rows") == "all" else None
    options = {"resamples": resamples, "level": level, "seed": seed}
    form, use = constrained_forms(None if inference is None else Use(inference, reach, law, measured), fix, tie)
    return allocate_rows(rows, y=y, at=targets, milestones=milestones, use=use, form=form, **options)  # type: ignore[arg-type]


def compare(
    table: pd.DataFrame | str | Path,
    other: pd.DataFrame | str | Path | None = None,
    *,
    by: str | None = None,
    values: Sequence[str] | None = None,
    law: str | Law = "chinchilla",
    y: str = "loss",
    **options: Any,
) -> Comparison:
    """Compare two fitted frontiers: how much more compute does the first need for the loss of the second?

    Give either `by`, the column whose two values are compared (values: which two, the baseline first), or `other`, the
    second table. options: those of `fit`. Raises `UserError` unless exactly one is given, and `Refusal` where computes
    or losses do not overlap.
    """
    if (by is None) == (other is None):
        raise UserError("found no by or other, or both; wanted one of them: a column, or a second table; give one")
    if other is not None:
        groups = {_name(table, "first"): load_table(table), _name(other, "second"): load_table(other)}
    else:
        groups = two_of(load_table(table), str(by), () if values is None else values)
        pool = options.get("pool", ())
        options["pool"] = (*((pool,) if isinstance(pool, str) else pool), str(by))
    return compare_groups(groups, law, y=y, **options)


def report(
    source: pd.DataFrame | str | Path,
    *,
    out: str | Path | None = None,
    tasks: Sequence[str] = (),
    pool: Sequence[str] = (),
    figures: bool = False,
    resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    fix: Mapping[str, float] | None = None,
    tie: Mapping[str, str] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Write the report of a results folder or of a table; `Report.page` is its path.

    out: folder of the report (default: that of the source; a DataFrame has none). tasks: the tasks of stages to report
    on (default: all). pool: columns whose kinds of runs are fitted together. figures: also save each figure as a file.
    fix, tie: constraints on the laws that have these parameters. say: called with a message about progress. Raises
    `UserError` where there is no table, or the folder cannot be written.
    """
    settings_of(resamples=resamples, level=level, seed=seed)
    from analysis.report.law_results import LawOptions
    from analysis.report.page import write_report

    pooled = (pool,) if isinstance(pool, str) else tuple(pool)
    in_memory = not isinstance(source, str | Path)
    table = with_pooled(load_table(source), pooled) if pooled or in_memory else None
    if in_memory:
        if out is None:
            raise UserError("found a table in memory and no out; wanted the folder of the report; name it with out")
        source = Path(out) / "table.parquet"  # written with the report
    return write_report(
        source,  # type: ignore[arg-type]
        table=table,
        out=out,
        tasks=tasks,
        figures=figures,
        say=say,
        law_options=LawOptions(resamples, level, seed, fix or {}, tie or {}),
    )


def plot(found: Fit | Frontier | IsoFlop | Comparison, ax: Axes | None = None) -> Axes:
    """Draw a fit, a frontier, isoFLOP curves or a comparison, on `ax` or on new axes."""
    from analysis.figures import notebook

    drawn: Mapping[type, Callable[[Any, Axes | None], Axes]] = {
        Fit: notebook.plot_fit,
        Frontier: notebook.plot_frontier,
        IsoFlop: notebook.plot_isoflop,
        Comparison: notebook.plot_comparison,
    }
    for kind, draw in drawn.items():
        if isinstance(found, kind):
            return draw(found, ax)
    raise UserError(f"found a {type(found).__name__}; wanted a {', '.join(kind.__name__ for kind in drawn)} to draw")


def _computes(at: object) -> tuple[float, ...]:
    try:
        return tuple(np.ravel(np.asarray(at, dtype=float)).tolist())
    except (TypeError, ValueError):
        raise UserError(f"found at={at!r}; wanted one or several computes in FLOPs, such as 1e20") from None


def _name(table: pd.DataFrame | str | Path, otherwise: str) -> str:
    """Return a table's path as its name, or `otherwise` for a DataFrame."""
    return str(table).rstrip("/") if isinstance(table, str | Path) else otherwise


def _rows(
    table: pd.DataFrame | str | Path, y: str, selection: Mapping[str, Any], along: Sequence[str] = ()
) -> pd.DataFrame:
    known = Selection.__dataclass_fields__
    unknown = [name for name in selection if name not in known]
    if unknown:
        raise UserError(f"found the option {unknown[0]!r}; wanted some of {', '.join(known)}")
    checked = vars(settings_of(**selection).selection)  # with a single name as one of several
    rows, left_out = select_rows(load_table(table), y=y, along=along, **checked)
    return with_left_out(rows, left_out)
