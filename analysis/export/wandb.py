"""Weights & Biases: offline runs, uploaded by `wandb sync DIR/wandb/offline-run-*`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from shutil import rmtree

from analysis.export.runs import ExportedRun, tool


class WandB:
    """Writes DIR/wandb/offline-run-…-RUN_ID for each ended run, and a run with the sweep's name and files."""

    def __init__(self, into: Path, name: str) -> None:
        self._wandb = tool("wandb", "wandb")
        into.mkdir(parents=True, exist_ok=True)
        settings = self._wandb.Settings(
            silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True
        )
        self._usual = {"project": name, "dir": str(into), "mode": "offline", "settings": settings}
        self._usual["reinit"] = "finish_previous"
        self._into, self._name, self._any = into, name, False

    def write(self, run: ExportedRun) -> None:
        """Write an ended run; a running one is skipped, as W&B shows offline runs only after their upload."""
        if not run.over:
            return
        self._remove(run.run_id)
        with self._wandb.init(
            id=run.run_id, name=run.name, config=run.config, tags=[run.status], **self._usual
        ) as made:
            for step, numbers in run.points:
                made.log(numbers, step=step)
            made.summary.update({f"final_{tag}": number for tag, number in run.final.items()})
        self._any = True

    def _remove(self, run_id: str) -> None:
        for old in (self._into / "wandb").glob(f"offline-run-*-{run_id}"):
            rmtree(old)  # left by an earlier export of the same run

    def close(self, files: Iterable[Path]) -> None:
        """Write the files of the sweep."""
        if not self._any:
            return
        artifact, run_id = self._wandb.Artifact(f"{self._name}-report", type="report"), f"{self._name}-report"[:64]
        for file in files:
            artifact.add_file(str(file))
        self._remove(run_id)
        with self._wandb.init(id=run_id, name=f"{self._name} report", **self._usual) as made:
            made.log_artifact(artifact)
