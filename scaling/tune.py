"""Tuning one key for each value of another, such as the learning rate for each width, with Optuna's ask and tell.

What is proposed is trained as any run, so that nothing is trained twice; the choice is made on the validation loss.
The studies lie in a journal beside the plan, which works on shared file systems, and the same command goes on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from scaling.config import read_stored_config
from scaling.errors import UserError
from scaling.folders import RunFolder, SweepFolder
from scaling.plan.cell import assign
from scaling.plan.planned import PlannedRun, plan_run
from scaling.record import read_record

STARTUP = 4  # proposals drawn at random before the sampler models the loss


@dataclass(frozen=True)
class Space:
    """What is tuned: a config `key` between `low` and `high` on a log scale, anew for each value of the key `by`."""

    key: str
    low: float
    high: float
    by: str


@dataclass(frozen=True)
class Proposal:
    """One value of the key to try, and the runs (one a seed) that try it."""

    by: Any
    value: float
    trial: optuna.Trial
    runs: tuple[PlannedRun, ...]


@dataclass(frozen=True)
class Best:
    """The best value found for one value of `by`: mean validation loss over its runs, and how many were tried."""

    by: Any
    value: float
    val_loss: float
    tried: int


def group_runs(runs: Sequence[PlannedRun], by: str) -> dict[Any, list[PlannedRun]]:
    """Return the runs of a plan by the value of a config key; UserError where there is no such key."""
    groups: dict[Any, list[PlannedRun]] = {}
    for run in runs:
        value: Any = run.to_dict()["config"]
        for step in by.split("."):
            if not isinstance(value, Mapping) or step not in value:
                raise UserError(f"found --by {by}; wanted a key of the config, such as model.width; change it")
            value = value[step]
        groups.setdefault(value, []).append(run)
    return groups


def open_studies(folder: SweepFolder, space: Space, groups: Mapping[Any, Any], *, seed: int) -> dict[Any, optuna.Study]:
    """Open (or go on with) one study for each value of `by`."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.path.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(folder.path / "tune.journal")))
    studies = {}
    for value in groups:
        name = f"{space.key} in {space.low:g} to {space.high:g} at {space.by}={value}"
        study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        drawn = sampler_seed(seed, name, tried=len(study.trials))
        study.sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=STARTUP, constant_liar=True)
        studies[value] = study
    return studies


def sampler_seed(seed: int, study: str, *, tried: int) -> int:
    """Return 32 bits of SHA-256: every study draws its own values, and one that goes on others than it drew before."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{study}/{tried}".encode()).digest()[:4])


def propose(
    studies: Mapping[Any, optuna.Study], groups: Mapping[Any, list[PlannedRun]], space: Space
) -> list[Proposal]:
    """Ask each study for one more value and plan its runs."""
    proposals = []
    for by, study in studies.items():
        trial = study.ask()
        value = float(f"{trial.suggest_float(space.key, space.low, space.high, log=True):.3g}")
        proposals.append(Proposal(by, value, trial, tuple(with_key(run, space.key, value) for run in groups[by])))
    return proposals


def with_key(run: PlannedRun, key: str, value: Any) -> PlannedRun:
    """Return the run with one key of its config changed."""
    config = read_stored_config(assign(run.to_dict()["config"], key, value))
    return plan_run(config, overrides={**run.overrides, key: value})


def tell(study: optuna.Study, proposal: Proposal, folder: SweepFolder) -> None:
    """Tell a study the mean validation loss of a proposal's runs; a run that diverged or failed counts as failed."""
    losses = [_val_loss(folder.run(run.run_id)) for run in proposal.runs]
    if any(loss is None for loss in losses):
        study.tell(proposal.trial, state=optuna.trial.TrialState.FAIL)
    else:
        study.tell(proposal.trial, sum(loss for loss in losses if loss is not None) / len(losses))


def _val_loss(files: RunFolder) -> float | None:
    record = read_record(files)
    return record.points[-1].val_loss if record is not None and record.status == "finished" else None


def best(studies: Mapping[Any, optuna.Study], space: Space) -> list[Best]:
    """Return the best value for each value of `by`, those left out that never finished."""
    found = []
    for by, study in studies.items():
        done = study.get_trials(states=[optuna.trial.TrialState.COMPLETE])
        if done:
            chosen = min(done, key=lambda trial: trial.value or math.inf)
            found.append(Best(by, float(f"{chosen.params[space.key]:.3g}"), float(chosen.value or 0.0), len(done)))
    return found


def rule(found: Sequence[Best], space: Space) -> str | None:
    """Return the power law through the best values as a `set:` expression; None where `by` is not a size."""
    points = [(float(entry.by), entry.value) for entry in found if isinstance(entry.by, int | float) and entry.by > 0]
    if len(points) < 2:
        return None
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    middle, height = sum(xs) / len(xs), sum(ys) / len(ys)
    spread = sum((x - middle) ** 2 for x in xs)
    if spread == 0:
        return None
    slope = sum((x - middle) * (y - height) for x, y in zip(xs, ys, strict=True)) / spread
    pivot = round(math.exp(middle))
    scale = math.exp(height + slope * (math.log(pivot) - middle))
    return f"{space.key}: {scale:.2g} * ({space.by} / {pivot}) ** {slope:.2f}"
