"""One run of a plan: its identity, config and quantities, known before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from scaling.config import Parent, RunConfig, plain, read_stored_config
from scaling.errors import UserError
from scaling.plan.identity import asked_precision, describe, run_id, shown_name
from scaling.plan.quantities import Milestone, Quantities, given_length


@dataclass(frozen=True)
class Fork:
    """The point from which a run continues another one with the same steps so far: `step` of run `run_id`."""

    run_id: str
    step: int


@dataclass(frozen=True)
class PlannedRun:
    """One run of a plan: its identity, the varied keys, its whole config and its quantities.

    parent: the run that a stage starts from; task: what is evaluated, a column of the table; fork: the point from which
    it continues a longer run (see plan/trunk.py); forks: steps from which shorter runs continue it; lr_rule,
    batch_rule: the expressions by which the sweep sets them, if it does.
    """

    run_id: str
    overrides: Mapping[str, Any]
    config: RunConfig
    quantities: Quantities
    lr_rule: str
    parent: PlannedRun | None = None
    task: str = "test"
    fork: Fork | None = None
    forks: tuple[int, ...] = ()
    batch_rule: str = ""

    @property
    def origin(self) -> PlannedRun:
        """The run from scratch at the start of the chain of parents; the run itself if it has no parent."""
        return self if self.parent is None else self.parent.origin

    def id_by_recipe(self, version: int) -> str:
        """Return the id of this run by an older recipe, applied to its parents as well."""
        if version >= self.config.recipe_version:
            return self.run_id
        config = dataclasses.replace(self.config, recipe_version=version)
        if self.parent is not None and config.parent is not None:
            start = dataclasses.replace(config.parent, run_id=self.parent.id_by_recipe(version))
            config = dataclasses.replace(config, parent=start)
        return run_id(config, self.quantities)

    @property
    def needs(self) -> tuple[str, ...]:
        """The ids of the runs that have to be settled before this one can start."""
        return () if self.parent is None else (self.parent.run_id,)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of the examples that the network reads, that of the data it was first trained on."""
        shape: tuple[int, ...] = self.origin.config.data.shape
        return shape

    @property
    def C_spent(self) -> int:
        """The FLOPs of its own steps, without those of the run that it forks from."""
        shared = 0 if self.fork is None else self.quantities.at(self.fork.step).C
        return self.quantities.C - shared

    @property
    def kept_steps(self) -> tuple[int, ...]:
        """The steps at which the weights are kept for later stages."""
        quantities = self.quantities
        return {"none": (), "last": (quantities.steps,), "milestones": quantities.milestones}[self.config.train.keep]

    def at(self, step: int) -> Milestone:
        """Return the milestone of the run from scratch that belongs to `step` of this run."""
        return self.quantities.at(step) if self.parent is None else self.origin_milestone

    @property
    def origin_milestone(self) -> Milestone:
        """The milestone of the run from scratch that this run starts from; its end for a run from scratch."""
        if self.parent is None or self.config.parent is None:
            return self.at(self.quantities.steps)
        return self.parent.at(self.config.parent.step or self.parent.quantities.steps)

    def columns_at(self, at: Milestone) -> dict[str, int | float]:
        """Return the columns of N, D, C and related quantities at a milestone of the run from scratch."""
        origin = self.origin.quantities
        reached = {"D": at.D, "epochs": at.epochs, "steps": at.step, "C": at.C, "C_counted": at.C_counted}
        return {**origin.counts.columns(), "D_unique": origin.D_unique, **reached}

    def row(self) -> dict[str, Any]:
        """Return the plan's columns for this run, which depend only on the YAML.

        Model, recipe, N, D and C are those of the run from scratch, at the milestone that a stage starts from.
        """
        origin, at = self.origin, self.origin_milestone
        config, quantities = origin.config, origin.quantities
        return {
            "run_id": self.run_id,
            "overrides": " ".join(as_overrides(self.overrides)),
            "family": shown_name("model", config.model),
            "width": getattr(config.model, "width", None),
            "depth": getattr(config.model, "depth", None),
            "expansion": getattr(config.model, "expansion", None),
            "data": shown_name("data", config.data),
            "D_unique": quantities.D_unique,
            "optim": describe("optim", config.optim, without=("lr",)),
            "lr": getattr(config.optim, "lr", None),
            "lr_rule": origin.lr_rule,
            "schedule": describe("schedule", config.schedule),
            "batch": quantities.batch,
            **({"batch_rule": origin.batch_rule} if origin.batch_rule else {}),
            "augment": describe("augment", config.augment),
            "label_smoothing": config.train.label_smoothing,
            "precision": asked_precision(config),
            "engine": config.train.engine,
            "seed": config.seed,
            **self.columns_at(at),
            "budget": quantities.budget if at.final else None,
            **self._fork_columns(),
            "stage": self.config.stage.name,
            "task": self.task,
            **self._stage_columns(),
        }

    def _fork_columns(self) -> dict[str, Any]:
        """Return the columns of a run that shares its first steps with others, {} for other runs."""
        if self.fork is None and not self.forks:
            return {}
        trunk, step = (self.fork.run_id, self.fork.step) if self.fork else (None, None)
        return {"trunk": trunk, "trunk_step": step, "C_spent": self.C_spent}

    def _stage_columns(self) -> dict[str, Any]:
        """Return the columns that are empty for a run from scratch."""
        names = ("parent", "parent_step", "origin", "stage_recipe", "stage_seed", "stage_D", "stage_C")
        if self.config.parent is None:
            return dict.fromkeys(names)
        parent, quantities = self.config.parent, self.quantities
        parents = (parent.run_id, parent.step, self.origin.run_id)
        return dict(
            zip(names, (*parents, self.stage_recipe, self.config.seed, quantities.D, quantities.C), strict=True)
        )

    @property
    def stage_recipe(self) -> str:
        """The settings of the stage and the stages before it; only rows with the same ones are comparable."""
        if self.parent is None:
            return ""
        config = self.config
        words = [describe("stage", config.stage)]
        if config.data.size is not None and self.quantities.D_unique:
            words.append(f"size={config.data.size}")
        if config.stage.trains:
            length, value = given_length(config.train)
            words += [
                describe("optim", config.optim, without=("lr",)),
                f"lr={self.lr_rule}",
                describe("schedule", config.schedule),
            ]
            words += [f"batch={config.train.batch}", f"{length}={value:g}"]
            augment = describe("augment", config.augment)
            words += [augment] if augment != "none" else []
            words += [f"label_smoothing={config.train.label_smoothing:g}"] if config.train.label_smoothing else []
        before = self.parent.stage_recipe
        return f"{before} > {' '.join(words)}" if before else " ".join(words)

    def started_from(self) -> dict[str, Any]:
        """Return the key `descent` of a stage's record, about its parents; {} for a run from scratch."""
        if self.config.parent is None:
            return {}
        quantities = self.origin.quantities
        end = dataclasses.asdict(quantities.at(quantities.steps))
        return {
            "stage": self.config.stage.name,
            "parent": plain(self.config.parent),
            "origin": self.origin.run_id,
            "point": dataclasses.asdict(self.origin_milestone),
            "counts": {**quantities.counts.columns(), "D_unique": quantities.D_unique},
            "run": {name: end[name] for name in ("D", "C", "C_counted", "epochs")} | {"steps": quantities.steps},
        }

    def to_dict(self) -> dict[str, Any]:
        """Return the run as plain JSON, for the workers' queue: the inverse of `from_dict`."""
        own = {"overrides": dict(self.overrides), "lr_rule": self.lr_rule, "config": plain(self.config)}
        if self.fork is not None:
            own["fork"] = dataclasses.asdict(self.fork)
        if self.forks:
            own["forks"] = list(self.forks)
        if self.batch_rule:
            own["batch_rule"] = self.batch_rule
        return own if self.parent is None else {**own, "task": self.task, "parent": self.parent.to_dict()}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> PlannedRun:
        """Read a run; values that follow from its config are computed again."""
        parent = cls.from_dict(raw["parent"]) if "parent" in raw else None
        run = plan_run(
            read_stored_config(raw["config"]), overrides=raw["overrides"], lr_rule=raw["lr_rule"], parent=parent
        )
        fork = Fork(**raw["fork"]) if "fork" in raw else None
        forks, batch_rule = tuple(raw.get("forks", ())), raw.get("batch_rule", "")
        return dataclasses.replace(run, task=raw.get("task", run.task), fork=fork, forks=forks, batch_rule=batch_rule)


def plan_run(
    config: RunConfig,
    *,
    overrides: Mapping[str, Any],
    lr_rule: str = "",
    quantities: Quantities | None = None,
    parent: PlannedRun | None = None,
) -> PlannedRun:
    """Turn one config into a planned run; ImpossibleRun if it cannot be trained.

    A stage's model is its parent's, whatever the config says.
    """
    if parent is not None:
        config = with_parent(config, parent)
    quantities = quantities or config.stage.quantities(config, parent)
    config.augment.check(config.data)
    rule = lr_rule or str(getattr(config.optim, "lr", ""))
    task = "test" if parent is None else f"{config.stage.name}:{config.data.name}"
    return PlannedRun(run_id(config, quantities), overrides, config, quantities, rule, parent, task)


def with_parent(config: RunConfig, parent: PlannedRun) -> RunConfig:
    """Return a stage's config with its parent's model and step; UserError if the step is not a milestone."""
    given = config.parent.step if config.parent is not None else None
    step = parent.quantities.steps if given is None else given
    if step not in parent.quantities.milestones:
        raise UserError(
            f"found parent.step={step}; wanted one of the milestones of run {parent.run_id} "
            f"({', '.join(map(str, parent.quantities.milestones))}); change it"
        )
    return dataclasses.replace(config, model=parent.config.model, parent=Parent(parent.run_id, step))


def as_overrides(values: Mapping[str, Any]) -> list[str]:
    """Write config keys and values as Hydra overrides."""
    return [f"{key}={_as_written(value)}" for key, value in values.items()]


def _as_written(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float) and float(f"{value:g}") == value:
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_as_written, value))}]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{name}:{_as_written(item)}" for name, item in value.items()) + "}"
    return str(value).removesuffix(".0") if isinstance(value, float) else str(value)
