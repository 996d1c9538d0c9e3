"""Runs of a plan in groups that share the values of config keys."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scaling.plan.planned import PlannedRun
from scaling.tune import Group, value_of


def group_runs(runs: Sequence[PlannedRun], by: Sequence[str], tuned: Sequence[str]) -> dict[Group, list[PlannedRun]]:
    """Return the runs of a plan by the values of config keys; UserError if there is no such key.

    by: those keys; none named: all that vary among the runs but the seed and the tuned keys, so that every size and
    length has an optimum of its own.
    """
    keys = list(by) or _varied(runs, tuned)
    varied = {key for run in runs for key in run.overrides}
    groups: dict[Group, list[PlannedRun]] = {}
    for run in runs:
        config = run.to_dict()["config"]
        settings = {key: run.overrides[key] if key in run.overrides else value_of(config, key, varied) for key in keys}
        groups.setdefault(tuple((key, _hashable(value)) for key, value in settings.items()), []).append(run)
    return groups


def _varied(runs: Sequence[PlannedRun], tuned: Sequence[str]) -> list[str]:
    """Return the keys that vary among runs, without the seed and the tuned keys."""
    keys = dict.fromkeys(key for run in runs for key in run.overrides)
    apart = {"seed", *tuned}
    return [key for key in keys if key not in apart and len({str(run.overrides.get(key)) for run in runs}) > 1]


def _hashable(value: Any) -> Any:
    """Return a group's member by the name of its class, a list or mapping as text, other values as they are."""
    if isinstance(value, Mapping) and "_target_" in value:
        return str(value["_target_"]).rpartition(".")[2]
    return str(value) if isinstance(value, Mapping | list) else value
