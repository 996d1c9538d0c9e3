"""Choose the law with the best backtest among those that pass; refuse where none passes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.errors import Refusal
from analysis.fitting.holdout import UNTESTED, candidates, score_laws, size_column
from analysis.fitting.points import Selection
from analysis.fitting.result import Fit
from analysis.fitting.settings import Settings, fit_law
from analysis.fitting.verdict.pooling import with_pooling
from analysis.fitting.verdict.rule import with_reasons, with_verdict
from analysis.fitting.verdict.run_quality import judge_runs
from analysis.laws import Law, get_law
from analysis.numbers import percent
from analysis.table.columns import require_columns, with_compute
from analysis.table.select import select_rows

if TYPE_CHECKING:
    import pandas as pd


def choose(frame: pd.DataFrame, *, y: str, x: str | None, settings: Settings) -> Fit:
    """Fit the candidate laws in order of backtest error and return the first fit that is ok.

    Raises `Refusal` where none is ok, with the reasons against the best of them.
    """
    tried = _holdout_errors(frame, y=y, x=x, settings=settings)
    passed_over: dict[str, str] = {}
    for name in tried:
        law = get_law(name)
        try:
            found = fit_and_judge(frame, law, y=y, x=x, settings=settings, remedies=False)
        except Refusal as refusal:
            passed_over[name] = str(refusal)
            continue
        if found.certificate.status == "ok":
            warnings = (_choice_words(name, tried, passed_over), *found.warnings)
            return replace(found, warnings=warnings, card={**found.card, "tried": tried})
        passed_over[name] = found.certificate.reasons[0]
    best = next(iter(passed_over))
    raise Refusal(
        f"none of the laws {', '.join(tried)} passes, so none is chosen; {best}, the best in the backtest "
        f"({_error(tried[best])}), is weak: {passed_over[best]}; fit it by name to see more, or add runs"
    )


def fit_and_judge(
    frame: pd.DataFrame, law: Law, *, y: str, x: str | None, settings: Settings, remedies: bool = True
) -> Fit:
    """Fit one law to the rows of a table and apply every check. remedies: whether to search for one."""
    found = with_pooling(fit_law(frame, law, y=y, x=x, settings=settings))
    faults, remarks = judge_runs(found, law)
    found = replace(found, warnings=(*found.warnings, *remarks))
    return with_verdict(with_reasons(found, faults), law, settings, remedies=remedies)


def _holdout_errors(frame: pd.DataFrame, *, y: str, x: str | None, settings: Settings) -> dict[str, float]:
    """Return the backtest error of each candidate law, best first."""
    selection = settings.selection
    rows, _ = select_rows(frame, y=y, along=(x,) if x else (), **vars(selection))
    rows = with_compute(rows)
    by = size_column(rows, x)
    require_columns(rows, [by])
    chosen = Selection(rows=selection.rows, pool=selection.pool, keep=selection.keep)
    bare = replace(settings, selection=chosen).resampled(0)
    scores = score_laws(rows, candidates(rows, x), y=y, x=x, by=by, settings=bare)
    return {score.law: score.error for score in scores if score.splits}


def _choice_words(name: str, tried: dict[str, float], passed_over: dict[str, str]) -> str:
    """Say which law was chosen, the backtest errors of all candidates, and why better ones were rejected."""
    others = [f"{other} {_error(error)}" for other, error in tried.items() if other != name]
    words = f"law chosen by backtest among {len(tried)}: {name}, {_error(tried[name])} off on the held-out runs"
    words += f" ({', '.join(others)})" if others else ""
    return words + "".join(f"; {other} does not pass: {why}" for other, why in passed_over.items())


def _error(error: float) -> str:
    return percent(error) if error < UNTESTED else "hardly tested"
