"""One run: config in, record out."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite

import yaml

from scaling.config import plain
from scaling.content.content import Content
from scaling.content.run_content import content_of
from scaling.folders import RunFolder, read_lines, write_atomically
from scaling.global_streams import own_streams
from scaling.plan.planned import PlannedRun
from scaling.record import Record, commit, read_record, versions, write_record
from scaling.train.attempt import Attempt, PlacedRun, Progress, content_read
from scaling.train.device import describe_device, find_device
from scaling.train.evaluation import Evaluation, has_diverged, is_at_chance
from scaling.train.output.journal import Journal
from scaling.train.output.resume import drop_fork
from scaling.train.precision import computed_precision
from scaling.train.streams import derive_seed
from scaling.train.training_process import training_process

__all__ = ["Progress", "train_run"]
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # the C version, if there is one, saves 10 ms a run


def train_run(
    run: PlannedRun,
    folder: RunFolder,
    *,
    device: str = "auto",
    watch: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    forecast_seconds: float | None = None,
) -> Record | None:
    """Train one run, from its checkpoint if there is one, and write its record; return None if `stop` ended it.

    watch: called with the progress about once a second; stop: called often, True ends the run with a checkpoint. A
    settled run leaves config.yaml, log.jsonl and, written last, record.json. Raises OutOfMemory if the device is too
    small, UserError for bad input.
    """
    content = content_at_begin(run, folder)
    where, stage = find_device(device), run.config.stage
    write_config(run, folder)
    journal = Journal(folder)
    with training_process(run.config, where), own_streams(derive_seed(run.config.seed, "run")):
        sets = stage.load(PlacedRun(run, folder, where))
        attempt = Attempt(run, folder, where, sets, journal, content_read(content, sets), watch=watch, stop=stop)
        evaluation = stage.perform(attempt)
    if evaluation is None:
        return None
    return settle(attempt, evaluation, forecast_seconds)


def content_at_begin(run: PlannedRun, folder: RunFolder) -> Content:
    """Return the content of a run, taken before anything is read, so that later changes are detected."""
    parent = None if run.parent is None else read_record(folder.other(run.parent.run_id))
    digest = "" if parent is None else Content.from_dict(parent.content).digest
    return replace(content_of(run.config), parent=digest)


def write_config(run: PlannedRun, folder: RunFolder) -> None:
    """Write a run's resolved config."""
    write_atomically(folder.config, yaml.dump(plain(run.config), Dumper=DUMPER, sort_keys=False))


def settle(attempt: Attempt, evaluation: Evaluation, forecast_seconds: float | None) -> Record:
    """Write and return the record of a finished attempt, and remove its checkpoint."""
    record = replace(_record(attempt, evaluation, forecast_seconds), content=attempt.content.to_dict())
    write_record(attempt.folder.record, record)
    attempt.folder.checkpoint.unlink(missing_ok=True)
    drop_fork(attempt)
    return record


def _record(attempt: Attempt, evaluation: Evaluation, forecast_seconds: float | None) -> Record:
    run, journal, splits = attempt.run, attempt.journal, attempt.sets.splits
    quantities, data, stage = run.quantities, run.config.data, run.config.stage
    diverged = has_diverged(evaluation, splits) if stage.fits else not isfinite(evaluation.test.loss)
    facts = {**splits.facts, **attempt.notes}
    return Record(
        run_id=run.run_id,
        status="diverged" if diverged else "finished",
        flags=("at_chance",) if not diverged and is_at_chance(evaluation, splits) else (),
        config=plain(run.config),
        counts={**quantities.counts.columns(), **quantities.columns()},
        data={
            "metric": stage.metric(data),
            "has_error": data.has_error,
            "chance": splits.chance,
            "chance_se": splits.chance_se,
            "n_test": len(splits.test),
            "n_val": len(splits.validation),
            **({"facts": facts} if facts else {}),
        },
        points=tuple(journal.points),
        descent=run.started_from(),
        how={
            "seconds": round(journal.seconds, 3),
            "examples_per_second": round(journal.examples_per_second, 1),
            "host": platform.node(),
            "device": describe_device(attempt.device),
            "precision": computed_precision(run.config, attempt.device),
            "versions": versions(),
            "git": commit(),
            "attempts": 1 + sum(1 for _ in read_lines(attempt.folder.attempts)),
            "forecast_seconds": forecast_seconds,
            "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **attempt.how,
        },
    )
