"""TensorBoard: an event file for each run, to be looked at with `tensorboard --logdir DIR`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from shutil import copyfile

from analysis.export.runs import ExportedRun, tool


def write_tensorboard(runs: Iterable[ExportedRun], files: Iterable[Path], into: Path, name: str) -> int:
    """Write DIR/NAME/RUN_ID/events…; files go beside them. Return the number of runs."""
    event = tool("tensorboard", "tensorboard.compat.proto.event_pb2").Event
    summary = tool("tensorboard", "tensorboard.compat.proto.summary_pb2").Summary
    writer_of = tool("tensorboard", "tensorboard.summary.writer.event_file_writer").EventFileWriter
    n = 0
    for n, run in enumerate(runs, 1):  # noqa: B007
        folder = into / name / run.run_id
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()  # the same export again writes the same again
        writer = writer_of(str(folder))
        for step, numbers in run.points:
            values = [summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
            writer.add_event(event(wall_time=run.ended, step=step, summary=summary(value=values)))
        writer.close()
        told = {"name": run.name, "status": run.status, "config": run.config, "final": run.final}
        (folder / "run.json").write_text(json.dumps(told, indent=1, default=str), encoding="utf-8")
    for file in files:
        copyfile(file, into / name / file.name)
    return n
