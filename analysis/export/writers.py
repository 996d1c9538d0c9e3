"""The exporting tools by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.export.mlflow import MLflow
from analysis.export.runs import Writer
from analysis.export.tensorboard import TensorBoard
from analysis.export.wandb import WandB

WRITERS: dict[str, Any] = {"wandb": WandB, "tensorboard": TensorBoard, "mlflow": MLflow}


def writer_of(name: str, into: Path, sweep: str) -> Writer:
    """Return the writer of a sweep's runs for a tool; `UserError` if the tool is not installed."""
    made: Writer = WRITERS[name](into, sweep)
    return made
