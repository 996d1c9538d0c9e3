"""Tune keys, such as the learning rate, for each size and length of a sweep, with Optuna's ask and tell.

Proposals are trained like any other run, so that nothing is trained twice; the choice uses the validation loss. The
studies are in a journal beside the plan, which works on shared file systems, and the same command continues them.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.distributions import BaseDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from scipy.stats.qmc import Halton

from scaling.compose.keys import value_at
from scaling.config import read_stored_config
from scaling.errors import UserError
from scaling.folders import RunFolder, SweepFolder, exists
from scaling.plan.cell import assign
from scaling.plan.planned import PlannedRun, plan_run
from scaling.record import read_record

STARTUP = 4  # values spread evenly over the range before the sampler models the loss
MOST_KEYS = 6  # of which so few tries cover the ranges
WIDENINGS = 2  # how often a range is widened at each end if the best value is there
BEYOND = "beyond"  # marks a trial outside the range that was asked for
STEP = 2.0  # factor between two values beyond the end of a range; a widening tries two

Group = tuple[tuple[str, Any], ...]  # the keys by which runs are tuned apart, with their values


@dataclass(frozen=True)
class Range:
    """A config key and the range in which its best value is searched, on a log scale."""

    key: str
    low: float
    high: float

    @property
    def text(self) -> str:
        """The range as a part of a study's name."""
        return f"{self.key} in {self.low:g} to {self.high:g}"


@dataclass(frozen=True)
class Proposal:
    """Values of the keys to try for one group of runs, and the runs (one a seed) that try them.

    beyond: outside the range that was asked for; runs: none where the sweep has none with such values.
    """

    group: Group
    trial: int
    values: Mapping[str, float]
    runs: tuple[PlannedRun, ...]
    beyond: bool = False


@dataclass(frozen=True)
class Best:
    """The best values found for one group of runs: mean validation loss over its runs, and how many were tried."""

    group: Group
    values: Mapping[str, float]
    val_loss: float
    tried: int


def value_of(config: Mapping[str, Any], key: str, varied: Collection[str] = ()) -> Any:
    """Return the config's value of a key; None if it has none but other runs do, as those of another model."""
    try:
        return value_at(config, key)
    except LookupError:
        if key in varied:
            return None
        sentence = f"found the key {key}; wanted one of the config, such as optim.lr or model.width; change it"
        raise UserError(sentence) from None


def label(group: Group) -> str:
    """Return a group's keys and values as text."""
    return ", ".join(f"{key}={value}" for key, value in group) or "all runs"


def sampler_seed(seed: int, study: str, *, tried: int) -> int:
    """Return a seed from SHA-256, 32 bits, that differs between studies, and for a study that is continued."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{study}/{tried}".encode()).digest()[:4])


@dataclass(frozen=True)
class Effort:
    """How many values are tried in all and in a round, and whether some beyond an end of the range if it is best."""

    tries: int
    at_once: int
    widen: bool = True


@dataclass(frozen=True)
class Search:
    """The search of one group of runs: its study, the runs, and the ranges of the keys."""

    study: optuna.Study
    group: Group
    runs: Sequence[PlannedRun]
    ranges: Sequence[Range]

    def values_left(self, tries: int) -> int:
        """Return how many more values the study has to propose to reach `tries`."""
        return max(0, tries - sum(BEYOND not in trial.user_attrs for trial in self.study.get_trials()))

    def next(self, effort: Effort) -> list[Proposal]:
        """Return what to train next; nothing if enough was tried.

        First what an interrupted command has left, then new values, then those beyond the ends.
        """
        if self.study.get_trials(states=[TrialState.RUNNING]):
            return self.interrupted()
        if more := min(effort.at_once, self.values_left(effort.tries)):
            return [self.propose() for _ in range(more)]
        return self.widen() if effort.widen else []

    def tell(self, proposal: Proposal, folder: SweepFolder) -> None:
        """Report the mean validation loss of a proposal's runs, or a failure if one failed or is impossible."""
        losses = [_val_loss(folder.run(run.run_id)) for run in proposal.runs]
        if not losses or any(loss is None for loss in losses):
            self.study.tell(proposal.trial, state=TrialState.FAIL)
        else:
            self.study.tell(proposal.trial, sum(loss for loss in losses if loss is not None) / len(losses))

    def best(self) -> Best | None:
        """Return the best values, None if none has finished."""
        done = self.study.get_trials(states=[TrialState.COMPLETE])
        if not done:
            return None
        chosen = min(done, key=_loss)
        values = {key: rounded(value, self.runs[0], key) for key, value in chosen.params.items()}
        return Best(self.group, values, _loss(chosen), len(done))

    def interrupted(self) -> list[Proposal]:
        """Return the proposals of which an interrupted command has no result."""
        return [self._proposal(trial) for trial in self.study.get_trials(states=[TrialState.RUNNING]) if trial.params]

    def propose(self) -> Proposal:
        """Ask the study for one more try; the first ones are spread evenly, shifted study by study."""
        number = len(self.study.trials)
        if number < STARTUP:
            point = Halton(len(self.ranges), scramble=False).fast_forward(number).random()[0].tolist()
            return self._try({one.key: self._shifted(one, x) for one, x in zip(self.ranges, point, strict=True)})
        trial = self.study.ask()
        for one in self.ranges:
            trial.suggest_float(one.key, one.low, one.high, log=True)
        return self._proposal(trial)

    def _shifted(self, one: Range, place: float) -> float:
        """Return the value of a key at a place (0 to 1) in its range, shifted by an amount of the study's own."""
        shift = sampler_seed(self.study.user_attrs["seed"], f"{self.study.study_name}/{one.key}", tried=0) / 2**32
        return one.low * (one.high / one.low) ** ((shift + place) % 1)

    def widen(self) -> list[Proposal]:
        """Propose two values beyond an end of a range if the best value is there, at most WIDENINGS times."""
        done = self.study.get_trials(states=[TrialState.COMPLETE])
        if not done:
            return []
        best, run = min(done, key=_loss).params, self.runs[0]
        proposals = []
        for one in self.ranges:
            tried = [trial.params[one.key] for trial in self.study.get_trials() if one.key in trial.params]
            for end, factor, last in ((min(tried), 1 / STEP, one.low), (max(tried), STEP, one.high)):
                if best[one.key] == end:
                    values = (end * factor, end * factor**2)
                    near = [value for value in values if math.log(value / last, factor) <= 2 * WIDENINGS]
                    near = [value for value in near if _legal(run, {one.key: rounded(value, run, one.key)})]
                    proposals += [self._try({**best, one.key: value}, BEYOND) for value in near]
        return proposals

    def _try(self, values: Mapping[str, float], *marks: str) -> Proposal:
        """Add given values to the study, as if it had proposed them."""
        self.study.enqueue_trial(dict(values), user_attrs=dict.fromkeys(marks, True))
        at: dict[str, BaseDistribution] = {}
        for one in self.ranges:
            value = values[one.key]
            at[one.key] = FloatDistribution(min(one.low, value), max(one.high, value), log=True)
        return self._proposal(self.study.ask(at))

    def _proposal(self, trial: Trial | FrozenTrial) -> Proposal:
        """Return the proposal of a trial: its values in the form for the config, and its runs."""
        beyond = BEYOND in trial.user_attrs
        values = {key: rounded(value, self.runs[0], key) for key, value in trial.params.items()}
        possible = not beyond or _legal(self.runs[0], values)
        runs = tuple(with_keys(run, values) for run in self.runs) if possible else ()
        return Proposal(self.group, trial.number, values, runs, beyond)


def open_searches(
    folder: SweepFolder, ranges: Sequence[Range], groups: Mapping[Group, Sequence[PlannedRun]], *, seed: int
) -> dict[Group, Search]:
    """Open or continue the search of each group of runs."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder.path.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(folder.path / "tune.journal")))
    searches = {}
    for group, runs in groups.items():
        name = f"{', '.join(one.text for one in ranges)} at {label(group)}"
        study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
        if "seed" not in study.user_attrs:
            study.set_user_attr("seed", seed)
        drawn = sampler_seed(seed, name, tried=len(study.trials))
        study.sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=STARTUP, constant_liar=True)
        searches[group] = Search(study, group, runs, ranges)
    return searches


def _legal(run: PlannedRun, values: Mapping[str, float]) -> bool:
    """Return whether a run can have these values: a range is not widened beyond what the config allows."""
    try:
        with_keys(run, values)
    except ValueError:
        return False
    return True


def rounded(value: float, run: PlannedRun, key: str) -> float:
    """Return a value with three digits, or as an integer if the config has one."""
    whole = isinstance(value_of(run.to_dict()["config"], key), int)
    return max(1, round(value)) if whole else float(f"{value:.3g}")


def with_keys(run: PlannedRun, values: Mapping[str, Any]) -> PlannedRun:
    """Return the run with keys of its config changed."""
    config: Any = run.to_dict()["config"]
    for key, value in values.items():
        config = assign(config, key, value)
    return plan_run(read_stored_config(config), overrides={**run.overrides, **values}, parent=run.parent)


def was_tried(proposal: Proposal, folder: SweepFolder) -> bool:
    """Return whether each run of a proposal is settled or has been tried."""
    files = [folder.run(run.run_id) for run in proposal.runs]
    return all(exists(one.record) or exists(one.attempts) for one in files)


def _val_loss(files: RunFolder) -> float | None:
    record = read_record(files)
    return record.points[-1].val_loss if record is not None and record.status == "finished" else None


def _loss(trial: FrozenTrial) -> float:
    return math.inf if trial.value is None else trial.value
