"""MLflow: an experiment in a database file, to be looked at with `mlflow ui --backend-store-uri sqlite:///FILE`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from analysis.export.runs import ExportedRun, tool

MOST_PARAMETERS, MOST_METRICS = 100, 1000
"""That MLflow takes at once."""


def write_mlflow(runs: Iterable[ExportedRun], files: Iterable[Path], into: Path, name: str) -> int:
    """Write DIR/mlflow.db and DIR/mlruns; runs that are there already stay. Return the number of runs."""
    entities = tool("mlflow", "mlflow.entities")
    into.mkdir(parents=True, exist_ok=True)
    client = tool("mlflow", "mlflow").MlflowClient(tracking_uri=f"sqlite:///{(into / 'mlflow.db').resolve()}")
    found = client.get_experiment_by_name(name)
    experiment = found.experiment_id if found else client.create_experiment(name, (into / "mlruns").resolve().as_uri())
    n = 0
    for n, run in enumerate(runs, 1):  # noqa: B007
        if not client.search_runs([experiment], f"tags.run_id = '{run.run_id}'"):
            _write(client, entities, experiment, run)
    if n and (parent := client.search_runs([experiment], "tags.sweep = 'true'")):
        client.delete_run(parent[0].info.run_id)
    if n:
        sweep = client.create_run(experiment, tags={"sweep": "true"}, run_name=name)
        for file in files:
            client.log_artifact(sweep.info.run_id, str(file))
        client.set_terminated(sweep.info.run_id)
    return n


def _write(client: Any, entities: Any, experiment: str, run: ExportedRun) -> None:
    """Write one run with its settings, its curves and its last numbers."""
    at = int(1000 * run.ended)
    tags = {"run_id": run.run_id, "status": run.status}
    made = client.create_run(experiment, start_time=at, tags=tags, run_name=run.name[:250]).info.run_id
    settings = [entities.Param(key, str(value)[:6000]) for key, value in run.config.items()]
    metrics = [entities.Metric(tag, value, at, step) for step, values in run.points for tag, value in values.items()]
    metrics += [entities.Metric(f"final_{tag}", value, at, 0) for tag, value in run.final.items()]
    for start in range(0, len(settings), MOST_PARAMETERS):
        client.log_batch(made, params=settings[start : start + MOST_PARAMETERS])
    for start in range(0, len(metrics), MOST_METRICS):
        client.log_batch(made, metrics=metrics[start : start + MOST_METRICS])
    client.set_terminated(made, "FINISHED" if run.status == "finished" else "FAILED", at)
