"""Group runs by the kind of job they need, and choose the number and length of the jobs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scaling.dispatch.launchers import Slurm
from scaling.dispatch.queue import Entry
from scaling.errors import UserError
from scaling.numbers import duration, many

SLACK = 1.5  # walltime over forecast
START_SECONDS = 60  # for starting Python and torch, and loading data
UNKNOWN_SECONDS = 60.0  # assumed for a run without a forecast
MEMORY_SLACK = 1.5  # requested memory over forecast


@dataclass(frozen=True)
class JobKind:
    """What a job needs: its memory, and the hours of its longest run if that is longer than a job's usual work."""

    memory_gb: float
    hours: float | None

    @property
    def name(self) -> str:
        """The name of the group of runs that need such jobs."""
        return f"{self.memory_gb:g}GB" + ("" if self.hours is None else f"-{self.hours:g}h")


@dataclass(frozen=True)
class JobShare:
    """The jobs of one group: `jobs` of them, `parallel` at a time, share `runs` runs that take `seconds` in all."""

    group: str
    jobs: int
    runs: int
    seconds: float
    minutes: int
    memory_gb: float
    parallel: int = 1

    @property
    def title(self) -> str:
        """The share in one line."""
        size = f"{many(self.jobs, 'job')} of {self.minutes:g} min and {self.memory_gb:g} GB"
        return f"{self.group}: {many(self.runs, 'run')}, {duration(self.seconds)} forecast, {size}"


@dataclass(frozen=True)
class Deal:
    """A queue with the group of each entry, and the jobs of each group."""

    queue: tuple[Entry, ...]
    shares: tuple[JobShare, ...]


def deal(
    queue: Sequence[Entry], launcher: Slurm, *, memory: Mapping[str, float] | None = None, limit: float | None = None
) -> Deal:
    """Group runs by the memory and time that they need, and choose the jobs of each group.

    Runs that start from one another are in the same group, so that no job waits for another group.
    memory: forecast bytes by run_id; limit: the partition's time limit in minutes.
    """
    families = _families(queue)
    kinds = {key: _kind(each, launcher, memory or {}) for key, each in {id(f): f for f in families.values()}.items()}
    kind_of = {entry.run_id: kinds[id(families[entry.run_id])] for entry in queue}
    members: dict[JobKind, list[Entry]] = {}
    for entry in queue:
        members.setdefault(kind_of[entry.run_id], []).append(entry)
    ordered = sorted(members, key=lambda kind: (len(kind.name), kind.name))
    parallel = max(1, launcher.max_jobs // max(1, len(ordered)))  # max_jobs applies to all groups together
    shares = (replace(_share(kind, members[kind], launcher, limit), parallel=parallel) for kind in ordered)
    return Deal(tuple(replace(entry, group=kind_of[entry.run_id].name) for entry in queue), tuple(shares))


def _families(queue: Sequence[Entry]) -> dict[str, list[Entry]]:
    """Return for each run its family: the runs of the queue connected to it by starting from one another."""
    found: dict[str, list[Entry]] = {}
    for entry in queue:  # parents come before their children
        family = next((found[need] for need in entry.after if need in found), [])
        family.append(entry)
        found[entry.run_id] = family
    return found


def _kind(family: Sequence[Entry], launcher: Slurm, memory: Mapping[str, float]) -> JobKind:
    """Return the kind of job that runs need which start from one another."""
    most = max((memory[entry.run_id] for entry in family if entry.run_id in memory), default=None)
    gb = launcher.memory_gb or memory_class(most, launcher.min_memory_gb)
    hours, usual = max(map(seconds_of, family)) / 3600, launcher.hand_minutes / 60
    return JobKind(gb, None if hours <= usual else usual * 2 ** math.ceil(math.log2(hours / usual)))


def memory_class(memory: float | None, least: float) -> float:
    """Return the GB to request: `least` times a power of two, so that there are few kinds of jobs."""
    need = (memory or 0.0) * MEMORY_SLACK / 1e9
    return least * 2 ** max(0, math.ceil(math.log2(need / least))) if need > 0 else least


def seconds_of(entry: Entry) -> float:
    """Return the expected seconds of a run."""
    return UNKNOWN_SECONDS if entry.forecast_seconds is None else entry.forecast_seconds


def _share(kind: JobKind, entries: Sequence[Entry], launcher: Slurm, limit: float | None) -> JobShare:
    total = sum(seconds_of(entry) for entry in entries)
    longest = max(seconds_of(entry) for entry in entries)
    wanted = launcher.jobs or min(launcher.max_jobs, math.ceil(total / (launcher.hand_minutes * 60)) or 1)
    jobs = max(1, min(wanted, len(entries)))
    load = max(longest, total / jobs)
    derived = max(launcher.min_minutes, (load * SLACK + launcher.signal_seconds + START_SECONDS) / 60)
    bounds = [bound for bound in (launcher.max_minutes, limit) if bound is not None]
    minutes = math.ceil(min([launcher.minutes or derived, *bounds]))
    _check_warning(minutes, launcher)
    return JobShare(
        group=kind.name,
        jobs=jobs,
        runs=len(entries),
        seconds=round(total, 1),
        minutes=minutes,
        memory_gb=kind.memory_gb,
    )


def _check_warning(minutes: int, launcher: Slurm) -> None:
    """Raise UserError for jobs so short that the warning of their end would come before they begin."""
    if launcher.signal_seconds >= 60 * minutes:
        raise UserError(
            f"found launcher.signal_seconds={launcher.signal_seconds} for jobs of {minutes} min, which are warned of "
            f"their end before they begin; wanted time to train; lower it or raise launcher.minutes"
        )
