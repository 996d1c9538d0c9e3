"""The disk space and the number of files that the runs of a plan take."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from scaling.plan.planned import PlannedRun
from scaling.stages.feature_cache import cached_splits, feature_bytes, feature_key

FILES_PER_RUN = 4  # config.yaml, record.json, attempts.jsonl, log.jsonl
BYTES_PER_RUN = 3_000  # config, record and attempts without points, as measured on the shipped sweeps
BYTES_PER_POINT = 900  # one milestone in record.json and in log.jsonl
STATE_COPIES = 3  # a checkpoint holds the weights and (AdamW) two moments
BYTES_PER_NUMBER = 4  # fp32


@dataclass(frozen=True)
class DiskUse:
    """The number of files, and their bytes."""

    files: int
    bytes: int


def disk_use(runs: Sequence[PlannedRun]) -> DiskUse:
    """Return what runs leave on the disk when they have ended, with the features that they share."""
    parts = [*map(_of_run, runs), *_features(runs)]
    return DiskUse(sum(files for files, _ in parts), sum(size for _, size in parts))


def checkpoint_bytes(run: PlannedRun) -> int:
    """Return the bytes of a run's checkpoint, which is deleted when the run has ended."""
    return STATE_COPIES * BYTES_PER_NUMBER * run.quantities.counts.N_total


def _of_run(run: PlannedRun) -> tuple[int, int]:
    """Return the files of a run and their bytes, with the weights that it keeps for later stages."""
    kept, points = len(run.kept_steps), len(run.quantities.milestones)
    weights = kept * BYTES_PER_NUMBER * run.quantities.counts.N_total
    return FILES_PER_RUN + kept, BYTES_PER_RUN + points * BYTES_PER_POINT + weights


def _features(runs: Iterable[PlannedRun]) -> list[tuple[int, int]]:
    """Return the files of cached features and their bytes, once for each checkpoint and data set."""
    featured = {
        feature_key(run.config, run.quantities.D_unique, cached_splits(run.config)): run
        for run in runs
        if run.config.stage.featured
    }
    return [(len(cached_splits(run.config)), feature_bytes(run.config, run.quantities)) for run in featured.values()]
