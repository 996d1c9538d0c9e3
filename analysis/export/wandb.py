"""Weights & Biases: offline runs, to be sent with `wandb sync DIR/wandb/offline-run-*`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from analysis.export.runs import ExportedRun, tool


def write_wandb(runs: Iterable[ExportedRun], files: Iterable[Path], into: Path, name: str) -> int:
    """Write DIR/wandb/offline-run-…-RUN_ID; files are an artifact of a run named as the sweep. Return the number."""
    wandb = tool("wandb", "wandb")
    into.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True)
    usual = {"project": name, "dir": str(into), "mode": "offline", "settings": settings, "reinit": "finish_previous"}
    n = 0
    for n, run in enumerate(runs, 1):  # noqa: B007
        with wandb.init(id=run.run_id, name=run.name, config=run.config, tags=[run.status], **usual) as made:
            for step, numbers in run.points:
                made.log(numbers, step=step)
            made.summary.update({f"final_{tag}": number for tag, number in run.final.items()})
    artifact = wandb.Artifact(f"{name}-report", type="report")
    for file in files:
        artifact.add_file(str(file))
    if n:
        with wandb.init(id=f"{name}-report"[:64], name=f"{name} report", **usual) as made:
            made.log_artifact(artifact)
    return n
