"""MLflow: an experiment in a database file, shown by `mlflow ui --backend-store-uri sqlite:///FILE`."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from analysis.export.runs import ExportedRun, News, tool

MOST_PARAMETERS, MOST_METRICS = 100, 1000
"""Maximum numbers that MLflow accepts in one call."""


class MLflow:
    """Writes DIR/mlflow.db and DIR/mlruns; runs that ended in an earlier export are kept, others are written again."""

    def __init__(self, into: Path, name: str) -> None:
        self._entities = tool("mlflow", "mlflow.entities")
        into.mkdir(parents=True, exist_ok=True)
        store = f"sqlite:///{(into / 'mlflow.db').resolve()}"
        self._client = tool("mlflow", "mlflow").MlflowClient(tracking_uri=store)
        found, artifacts = self._client.get_experiment_by_name(name), (into / "mlruns").resolve().as_uri()
        self._experiment = found.experiment_id if found else self._client.create_experiment(name, artifacts)
        self._name, self._made, self._news = name, dict[str, str | None](), News()
        self._written: dict[str, set[str]] = {}  # settings of each run that are written: MLflow does not allow changes

    def write(self, run: ExportedRun) -> None:
        """Add new settings and points of a run and, at its end, its final numbers."""
        if run.run_id not in self._made:
            self._made[run.run_id] = self._begin(run)
        made = self._made[run.run_id]
        if made is None:
            return
        at, written = int(1000 * run.ended), self._written.setdefault(run.run_id, set())
        new = {key: str(value)[:6000] for key, value in run.config.items() if key not in written}
        written.update(new)
        settings = [self._entities.Param(key, value) for key, value in new.items()]
        metric = self._entities.Metric
        metrics = [metric(tag, v, at, step) for step, numbers in self._news.of(run) for tag, v in numbers.items()]
        metrics += [metric(f"final_{tag}", value, at, 0) for tag, value in run.final.items()]
        for start in range(0, len(settings), MOST_PARAMETERS):
            self._client.log_batch(made, params=settings[start : start + MOST_PARAMETERS])
        for start in range(0, len(metrics), MOST_METRICS):
            self._client.log_batch(made, metrics=metrics[start : start + MOST_METRICS])
        if run.over:
            self._client.set_tag(made, "status", run.status)
            self._client.set_terminated(made, "FINISHED" if run.status == "finished" else "FAILED", at)
            self._made[run.run_id] = None

    def _begin(self, run: ExportedRun) -> str | None:
        """Create the run and return its id; None if an earlier export has written all of it."""
        for old in self._client.search_runs([self._experiment], f"tags.run_id = '{run.run_id}'"):
            if old.info.status in ("FINISHED", "FAILED"):
                return None
            self._client.delete_run(old.info.run_id)
        tags, at = {"run_id": run.run_id, "status": run.status}, int(1000 * run.ended)
        made: Any = self._client.create_run(self._experiment, start_time=at, tags=tags, run_name=run.name[:250])
        return str(made.info.run_id)

    def close(self, files: Iterable[Path]) -> None:
        """Write the files of the sweep to a run with the sweep's name."""
        if not self._made:
            return
        for made in filter(None, self._made.values()):
            self._client.set_terminated(made, "KILLED")
        for old in self._client.search_runs([self._experiment], "tags.sweep = 'true'"):
            self._client.delete_run(old.info.run_id)
        sweep = self._client.create_run(self._experiment, tags={"sweep": "true"}, run_name=self._name)
        for file in files:
            self._client.log_artifact(sweep.info.run_id, str(file))
        self._client.set_terminated(sweep.info.run_id)
