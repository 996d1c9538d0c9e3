"""One run: config in, record out."""

from __future__ import annotations

from collections.abc import Callable
from math import isnan

import torch
import yaml

from scaling.config import plain
from scaling.folders import RunFolder, read_lines, write_aside
from scaling.plan.identity import resolved_precision
from scaling.plan.planned import PlannedRun
from scaling.record import Record, how, write_record
from scaling.train.attempt import Attempt
from scaling.train.callbacks import Progress
from scaling.train.device import describe_device, find_device
from scaling.train.errors import memory_explained
from scaling.train.examiner import Verdict, has_diverged, is_at_chance
from scaling.train.output.journal import Journal
from scaling.train.precision import matmul_precision
from scaling.train.startup import spare_collector

__all__ = ["Progress", "train_run"]
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)  # in C where PyYAML was built so: 10 ms less a run


def train_run(
    run: PlannedRun,
    folder: RunFolder,
    *,
    device: str = "auto",
    watch: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    forecast_seconds: float | None = None,
) -> Record | None:
    """Do one run from where its checkpoint left it and write its record; None where `stop` asked for an end.

    `watch` hears of progress about once a second. A stopped run leaves a checkpoint; a settled one leaves config.yaml,
    log.jsonl and, last, record.json. Raises OutOfMemory where the device is too small, UserError for bad input.
    """
    spare_collector()
    where, stage = find_device(device), run.config.stage
    write_aside(folder.config, yaml.dump(plain(run.config), Dumper=DUMPER, sort_keys=False))
    journal = Journal(folder)
    # Dropout draws from torch's own generators, which are given back as they were found.
    lent = torch.random.fork_rng([where] if where.type == "cuda" else [])
    with memory_explained(run.config, where), lent, matmul_precision(resolved_precision(run.config)):
        attempt = Attempt(run, folder, where, stage.load(run, folder, where), journal)
        verdict = stage.perform(attempt, watch=watch, stop=stop)
    if verdict is None:
        return None
    record = _record(attempt, verdict, forecast_seconds)
    write_record(folder.record, record)
    folder.checkpoint.unlink(missing_ok=True)
    return record


def _record(attempt: Attempt, verdict: Verdict, forecast_seconds: float | None) -> Record:
    run, journal, splits = attempt.run, attempt.journal, attempt.sets.splits
    quantities, data, stage = run.quantities, run.config.data, run.config.stage
    diverged = has_diverged(verdict, splits) if stage.fits else isnan(verdict.test.loss)
    facts = {**splits.facts, **attempt.notes}
    return Record(
        run_id=run.run_id,
        status="diverged" if diverged else "finished",
        flags=("at_chance",) if not diverged and is_at_chance(verdict, splits) else (),
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
        how=how(
            seconds=journal.seconds,
            examples_per_second=journal.examples_per_second,
            device=describe_device(attempt.device),
            attempts=1 + sum(1 for _ in read_lines(attempt.folder.attempts)),
            forecast_seconds=forecast_seconds,
        ),
    )
