"""Compare two groups of runs that differ in one thing, such as the family or the schedule, by their laws."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pandas as pd

from analysis.errors import attempt
from analysis.estimates.multiplier import Comparison, compare_fits
from analysis.estimates.pairs_of_refits import with_weighted_refits
from analysis.report.law_results import JOINT, GroupResults
from analysis.table.select import recipe_differences


def side_by_side(groups: Sequence[GroupResults]) -> tuple[Comparison | None, str]:
    """Compare two groups by their laws in N and D; else None with the reason, empty where no comparison applies."""
    if len(groups) != 2 or len(differences([group.rows for group in groups])) != 1:
        return None, ""
    results = {group.name: group.law(JOINT, group.y) for group in groups}
    if not any(results.values()):
        return None, ""
    fits = {name: with_weighted_refits(one.fit) for name, one in results.items() if one and one.fit}
    first, second = results
    if len(fits) < 2:
        lacking = " and ".join(name for name in results if name not in fits)
        why = f"{lacking} has no law of N and D" if len(fits) else "neither has a law of N and D"
        return None, f"no comparison of {first} and {second}: {why}"
    found, why = attempt(partial(compare_fits, fits))
    return found, f"no comparison of {first} and {second}: {why}" if why else ""


def differences(groups: Sequence[pd.DataFrame]) -> list[str]:
    """Name the differences between groups in family and recipe; none where their data differ, and so their losses."""
    rows = pd.concat(groups)
    if "data" in rows.columns and rows["data"].nunique() > 1:
        return []
    family = ["family"] if "family" in rows.columns and rows["family"].nunique() > 1 else []
    return [*family, *recipe_differences(rows)]
