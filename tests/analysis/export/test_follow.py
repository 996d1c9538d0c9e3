"""A sweep is mirrored while it runs: what is new of each run is added, and a run is given whole at its end."""

from __future__ import annotations

import json

import pytest

from analysis.export.follow import follow
from analysis.export.runs import News
from analysis.export.writers import writer_of
from tests.analysis import worlds
from tests.analysis.worlds import World, record, write_results


class Kept:
    """Writes into memory: of each run what was new at each look, and its status then."""

    def __init__(self):
        self.told, self.status, self.files, self._news = {}, {}, None, News()

    def write(self, run):
        self.told.setdefault(run.run_id, []).append(self._news.of(run))
        self.status[run.run_id] = run.status

    def close(self, files):
        self.files = [file.name for file in files]


class Sweep:
    """Three runs on disk, none begun, and what happens to them from look to look."""

    def __init__(self, root):
        self.table = worlds.grid(World(), (8, 16, 32), (65536,), seeds=1)
        self.folder = write_results(self.table.assign(status="missing"), root, "mine")
        self.ids = list(self.table["run_id"])

    def log(self, run_id, step, **numbers):
        line = json.dumps({"step": step, "train_loss": 2.0 - step / 1000, "val_loss": 2.0, **numbers})
        with (self.folder.parent / "runs" / run_id / "log.jsonl").open("a") as file:
            file.write(f"{line}\n")

    def settle(self, run_id):
        rows = self.table[self.table["run_id"] == run_id]
        (self.folder.parent / "runs" / run_id / "record.json").write_text(json.dumps(record(rows)))

    def fail(self, run_id):
        attempt = json.dumps({"cause": "crashed", "error": "no"})
        (self.folder.parent / "runs" / run_id / "attempts.jsonl").write_text(f"{attempt}\n")

    def followed(self, writer, looks):
        """Follow it while these happen, one after each look; return how many were left after each, and are settled."""
        left, happens = [], iter(looks)

        def rest(seconds, runs):
            left.append(runs)
            happening = next(happens, None)
            if happening is not None:
                happening()
            return happening is None

        return left, follow(self.folder, writer, rest)


@pytest.fixture
def sweep(tmp_path):
    return Sweep(tmp_path)


def test_what_is_new_is_added_until_the_end(sweep):
    first, second, third = sweep.ids

    def begin():
        sweep.log(first, 64)
        sweep.log(second, 64)

    def go_on():
        sweep.log(first, 128)
        sweep.fail(third)

    def end():
        sweep.log(second, 128, loss=1.5, final=False)
        sweep.settle(first)

    writer = Kept()
    assert sweep.followed(writer, (begin, go_on, end)) == ([3, 3, 2, 1], 1)
    start, middle, last = writer.told[first]
    assert start == [(64, {"curve/train_loss": 2.0 - 0.064, "curve/val_loss": 2.0})]
    assert middle == [(128, {"curve/train_loss": 2.0 - 0.128, "curve/val_loss": 2.0})]
    assert [set(numbers) >= {"loss", "D"} for _, numbers in last] == [True]
    assert writer.told[second][2] == [(128, {"loss": 1.5, "val_loss": 2.0, "train_loss": 2.0 - 0.128})]
    assert writer.status == {first: "finished", second: "running"}
    assert writer.files == ["plan.csv"]


def test_tensorboard_reads_a_run_under_way(sweep, tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="wants tensorboard (extra tensorboard)"
    )
    seen = []

    def look():
        found = reader.EventAccumulator(str(tmp_path / "mine" / sweep.ids[0])).Reload()
        seen.append([event.step for event in found.Scalars("curve/train_loss")])

    happens = (lambda: sweep.log(sweep.ids[0], 64), look, lambda: sweep.log(sweep.ids[0], 128), look)
    sweep.followed(writer_of("tensorboard", tmp_path, "mine"), happens)
    assert seen == [[64], [64, 128]]


@pytest.mark.slow
def test_mlflow_takes_up_a_run_that_was_under_way(sweep, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="wants mlflow (extra mlflow)")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    first = sweep.ids[0]

    def found():
        experiment = client.get_experiment_by_name("mine").experiment_id
        [run] = client.search_runs([experiment], f"tags.run_id = '{first}'")
        return run

    sweep.log(first, 64)
    sweep.followed(writer_of("mlflow", tmp_path, "mine"), ())
    assert found().info.status == "KILLED"
    sweep.settle(first)
    for _ in range(2):
        sweep.followed(writer_of("mlflow", tmp_path, "mine"), ())
        assert found().info.status == "FINISHED"
    assert {"curve/train_loss", "loss", "final_loss"} <= set(found().data.metrics)
