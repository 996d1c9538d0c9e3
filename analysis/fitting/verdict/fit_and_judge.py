"""Fit one law to a table and apply every check: pooled kinds of runs, training faults, lack of fit, hold-out."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from analysis.fitting.engine import fit_law
from analysis.fitting.result import Fit
from analysis.fitting.settings import Settings
from analysis.fitting.verdict.pooling import with_pooling
from analysis.fitting.verdict.rule import with_reasons, with_verdict
from analysis.fitting.verdict.run_quality import judge_runs
from analysis.laws import Law

if TYPE_CHECKING:
    import pandas as pd


def fit_and_judge(frame: pd.DataFrame, law: Law, settings: Settings, *, remedies: bool = True) -> Fit:
    """Fit one law to the rows of a table and apply every check.

    remedies: whether to search for a remedy if the law is weak. Raises `UserError` and `Refusal` as `fit` does.
    """
    found = with_pooling(fit_law(frame, law, settings))
    faults, remarks = judge_runs(found, law)
    found = replace(found, warnings=(*found.warnings, *remarks))
    return with_verdict(with_reasons(found, faults), law, settings, remedies=remedies)
