"""TensorBoard: an event file for each run, shown by `tensorboard --logdir DIR`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from shutil import copyfile
from typing import Any

from analysis.export.runs import ExportedRun, News, tool


class TensorBoard:
    """Writes DIR/NAME/RUN_ID/events… during the runs, and the files of the sweep beside them."""

    def __init__(self, into: Path, name: str) -> None:
        self._event = tool("tensorboard", "tensorboard.compat.proto.event_pb2").Event
        self._summary = tool("tensorboard", "tensorboard.compat.proto.summary_pb2").Summary
        self._writer = tool("tensorboard", "tensorboard.summary.writer.event_file_writer").EventFileWriter
        self._folder, self._open, self._news = into / name, dict[str, Any](), News()

    def write(self, run: ExportedRun) -> None:
        """Add new data of a run."""
        folder = self._folder / run.run_id
        if run.run_id not in self._open:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()  # left by an earlier export of the same run
            self._open[run.run_id] = self._writer(str(folder))
        writer = self._open[run.run_id]
        for step, numbers in self._news.of(run):
            values = [self._summary.Value(tag=tag, simple_value=number) for tag, number in numbers.items()]
            writer.add_event(self._event(wall_time=run.ended, step=step, summary=self._summary(value=values)))
        facts = {"name": run.name, "status": run.status, "config": run.config, "final": run.final}
        (folder / "run.json").write_text(json.dumps(facts, indent=1, default=str), encoding="utf-8")
        if run.over:
            self._open.pop(run.run_id).close()
        else:
            writer.flush()

    def close(self, files: Iterable[Path]) -> None:
        """Close the event files, and copy the files of the sweep."""
        for writer in self._open.values():
            writer.close()
        for file in files:
            copyfile(file, self._folder / file.name)
