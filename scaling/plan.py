"""The plan: every run of a sweep with what it will do, known before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.arithmetic import Quantities, settle
from scaling.config import RunConfig, plain, read_config
from scaling.dispatch.launchers import Limits
from scaling.folders import SweepFolder
from scaling.identity import describe, resolved_precision, run_id


@dataclass(frozen=True)
class Dropped:
    """A cell that is not run, and why."""

    overrides: Mapping[str, Any]
    reason: str


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: its identity, what the user varied, its whole config and what it will really do."""

    run_id: str
    overrides: Mapping[str, Any]
    config: RunConfig
    quantities: Quantities
    lr_rule: str

    def row(self) -> dict[str, Any]:
        """Return the plan's columns for this run; pure: same YAML, same row."""
        config, quantities, counts = self.config, self.quantities, self.quantities.counts
        return {
            "run_id": self.run_id,
            "overrides": " ".join(as_overrides(self.overrides)),
            "family": config.model.family,
            "width": getattr(config.model, "width", None),
            "depth": getattr(config.model, "depth", None),
            "expansion": getattr(config.model, "expansion", None),
            "data": config.data.name,
            "D_unique": quantities.D_unique,
            "optim": describe(config.optim, without=("lr",)),
            "lr": getattr(config.optim, "lr", None),
            "lr_rule": self.lr_rule,
            "schedule": describe(config.schedule),
            "batch": quantities.batch,
            "augment": describe(config.augment),
            "label_smoothing": config.train.label_smoothing,
            "precision": resolved_precision(config),
            "engine": config.train.engine,
            "seed": config.seed,
            "N": counts.N,
            "N_total": counts.N_total,
            "N_body": counts.N_body,
            "N_nonhead": counts.N_nonhead,
            "D": quantities.D,
            "epochs": quantities.epochs,
            "steps": quantities.steps,
            "C": quantities.C,
            "C_counted": quantities.C_counted,
            "budget": quantities.budget,
        }

    def asked_as(self, overrides: Mapping[str, Any]) -> PlannedRun:
        """Return the same run under the overrides that asked for it."""
        return dataclasses.replace(self, overrides=overrides)

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain JSON, as the queue of the workers holds it: the inverse of `from_dict`."""
        return {"overrides": dict(self.overrides), "lr_rule": self.lr_rule, "config": plain(self.config)}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> PlannedRun:
        """Read a run back and derive the rest anew."""
        return plan_run(read_config(raw["config"]), overrides=raw["overrides"], lr_rule=raw["lr_rule"])


@dataclass(frozen=True)
class Plan:
    """A sweep, planned: its runs, the cells that are not run, and where and how the runs shall be trained.

    `name`: folder under `results`; `launcher`: the launcher's config, plain; `duplicates`: cells that turned out to be
    a run already in the plan; `sweep`: the sweep file's name, None for an ad-hoc plan; `arguments`: the command line;
    `single`: one run, here and now.
    """

    name: str
    results: Path
    launcher: Mapping[str, Any]
    limit: Limits
    runs: tuple[PlannedRun, ...]
    dropped: tuple[Dropped, ...]
    duplicates: int
    sweep: str | None
    arguments: tuple[str, ...]
    single: bool

    @property
    def folder(self) -> SweepFolder:
        """Where the plan is written."""
        return SweepFolder(self.results, self.name)


def plan_run(
    config: RunConfig, *, overrides: Mapping[str, Any], lr_rule: str = "", quantities: Quantities | None = None
) -> PlannedRun:
    """Settle one config into a planned run; ImpossibleRun where it cannot be trained."""
    quantities = quantities or settle(config)
    config.augment.check(config.data)
    rule = lr_rule or str(getattr(config.optim, "lr", ""))
    return PlannedRun(run_id(config, quantities), overrides, config, quantities, rule)


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """Write config keys and values as Hydra overrides."""
    return [f"{key}={_as_written(value)}" for key, value in values.items()]


def _as_written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    return str(value)
