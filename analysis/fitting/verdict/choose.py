"""Choose the law with the best backtest among those that pass; refuse where none passes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.errors import Refusal
from analysis.fitting.holdout import UNTESTED, candidates, rows_by_size, score_laws
from analysis.fitting.result import Fit
from analysis.fitting.settings import Settings
from analysis.fitting.verdict.fit_and_judge import fit_and_judge
from analysis.laws import get_law
from analysis.numbers import percent

if TYPE_CHECKING:
    import pandas as pd


def choose(frame: pd.DataFrame, settings: Settings) -> Fit:
    """Fit the candidate laws in order of backtest error and return the first fit that is ok.

    Raises `Refusal` where none is ok, with the reasons against the best of them.
    """
    tried = _holdout_errors(frame, settings)
    passed_over: dict[str, str] = {}
    for name in tried:
        law = get_law(name)
        try:
            found = fit_and_judge(frame, law, settings, remedies=False)
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


def _holdout_errors(frame: pd.DataFrame, settings: Settings) -> dict[str, float]:
    """Return the backtest error of each candidate law, best first."""
    rows, by, settings = rows_by_size(frame, settings)
    scores = score_laws(rows, candidates(rows, settings.x), settings.resampled(0), by=by)
    return {score.law: score.error for score in scores if score.splits}


def _choice_words(name: str, tried: dict[str, float], passed_over: dict[str, str]) -> str:
    """Say which law was chosen, the backtest errors of all candidates, and why better ones were rejected."""
    others = [f"{other} {_error(error)}" for other, error in tried.items() if other != name]
    words = f"law chosen by backtest among {len(tried)}: {name}, {_error(tried[name])} off on the held-out runs"
    words += f" ({', '.join(others)})" if others else ""
    return words + "".join(f"; {other} does not pass: {why}" for other, why in passed_over.items())


def _error(error: float) -> str:
    return percent(error) if error < UNTESTED else "hardly tested"
