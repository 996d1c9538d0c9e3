"""Correct the forecasts on a device by its finished runs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from scaling.numbers import many
from scaling.plan.identity import asked_precision
from scaling.plan.planned import PlannedRun

FEWEST = 3  # similar runs of other shapes needed for a correction
Key = tuple[Any, ...]


@dataclass(frozen=True)
class Took:
    """A finished run, its seconds, and the probe's estimate, None without a probe."""

    run: PlannedRun
    seconds: float
    estimate: float | None


@dataclass(frozen=True)
class Learned:
    """Ratios of actual to estimated seconds, by shape and by kind of run, and seconds a step, by shape."""

    of_shape: dict[Key, list[float]] = field(default_factory=dict)
    alike: dict[Key, list[float]] = field(default_factory=dict)
    step_seconds: dict[Key, list[float]] = field(default_factory=dict)

    def ratio(self, run: PlannedRun) -> tuple[float, str]:
        """Return the factor for an estimate and its basis in words, "" without one."""
        found = self.of_shape.get(shape_of(run)) if self.of_shape else None
        if found:
            return median(found), f"{many(len(found), 'such run')} done"
        found = self.alike.get(kind_of(run)) if self.alike else None
        if found and len(found) >= FEWEST:
            return median(found), f"{many(len(found), 'similar run')} done"
        return 1.0, ""

    def seconds(self, run: PlannedRun) -> tuple[float, str] | None:
        """Return the seconds of a run from runs of the same shape, with the basis in words; None if there are none."""
        found = self.step_seconds.get(shape_of(run)) if self.step_seconds else None
        if not found or not run.quantities.steps:
            return None
        return median(found) * run.quantities.steps, f"{many(len(found), 'such run')} done, no probe"


def learn(done: Iterable[Took]) -> Learned:
    """Group finished runs by shape and kind."""
    learned = Learned()
    for took in done:
        run, shape = took.run, shape_of(took.run)
        if run.quantities.steps:
            learned.step_seconds.setdefault(shape, []).append(took.seconds / run.quantities.steps)
        if took.estimate:
            for groups, key in ((learned.of_shape, shape), (learned.alike, kind_of(run))):
                groups.setdefault(key, []).append(took.seconds / took.estimate)
    return learned


def shape_of(run: PlannedRun) -> Key:
    """Return all settings that the speed of a run depends on, except its length."""
    config = run.config
    settings = (asked_precision(config), config.train.engine, config.train.batch, run.quantities.fresh)
    stage = () if run.parent is None else (config.stage, run.input_shape)
    parts = (config.model, config.data.name, config.data.shape, config.optim.name, config.augment)
    return (*parts, *settings, *stage)


def kind_of(run: PlannedRun) -> Key:
    """Return the settings that runs with similar errors of their estimates share: the code, not the sizes."""
    config = run.config
    code = (config.model.family, getattr(config.model, "module", None), config.stage.name)
    return (*code, config.optim.name, config.augment.name, asked_precision(config), config.train.engine)
