"""Exports are read back by each tool's own reader."""

from __future__ import annotations

import json
import struct
import sys

import pytest

from analysis.errors import UserError
from analysis.export.command import NEXT
from analysis.export.runs import artifacts, exported, write_all
from analysis.export.writers import WRITERS, writer_of
from analysis.table.read import load_table
from scaling.config import MIRRORS
from tests.analysis import worlds
from tests.analysis.worlds import World, write_results


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    table = worlds.curves(World(), widths=(8, 32), milestones=3, seeds=1)
    folder = write_results(table, tmp_path_factory.mktemp("export"), "mine")
    (folder / "fit.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def runs(sweep):
    return list(exported(load_table(sweep)))


def test_what_is_exported_of_a_run(sweep, runs):
    table = load_table(sweep)
    assert {run.run_id for run in runs} == set(table["run_id"])
    rows = table[table["run_id"] == runs[0].run_id]
    assert [step for step, _ in runs[0].points] == rows["step"].astype(int).tolist()
    assert [point["loss"] for _, point in runs[0].points] == rows["loss"].tolist()
    assert runs[0].final["loss"] == rows["loss"].iloc[-1]
    assert runs[0].config["N"] == rows["N"].iloc[0]
    assert {"optim", "lr", "seed", "width"} <= set(runs[0].config)
    assert not {"loss", "step", "final"} & set(runs[0].config)
    assert [file.name for file in artifacts(sweep)] == ["fit.json", "plan.csv"]
    with pytest.raises(UserError, match="without run_id"):
        list(exported(table.drop(columns="run_id")))


def test_tensorboard_reads_its_events(sweep, runs, tmp_path):
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator", reason="wants tensorboard (extra tensorboard)"
    )
    for _ in range(2):
        assert write_all(writer_of("tensorboard", tmp_path, "mine"), runs, artifacts(sweep)) == len(runs)
    for run in runs:
        events = reader.EventAccumulator(str(tmp_path / "mine" / run.run_id)).Reload()
        assert [(event.step, event.value) for event in events.Scalars("loss")] == [
            (step, pytest.approx(numbers["loss"])) for step, numbers in run.points
        ]
        assert json.loads((tmp_path / "mine" / run.run_id / "run.json").read_text())["config"]["N"] == run.config["N"]
    assert (tmp_path / "mine" / "fit.json").is_file()


@pytest.mark.slow
def test_mlflow_reads_its_database(sweep, runs, tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="wants mlflow (extra mlflow)")
    for _ in range(2):
        assert write_all(writer_of("mlflow", tmp_path, "mine"), runs, artifacts(sweep)) == len(runs)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("mine").experiment_id
    found = {run.data.tags.get("run_id"): run for run in client.search_runs([experiment])}
    assert set(found) == {run.run_id for run in runs} | {None}
    for run in runs:
        own = found[run.run_id]
        assert own.data.params["N"] == str(run.config["N"])
        assert own.data.metrics["final_loss"] == run.final["loss"]
        history = client.get_metric_history(own.info.run_id, "loss")
        assert [(one.step, one.value) for one in history] == [(step, numbers["loss"]) for step, numbers in run.points]
    files = {file.path for file in client.list_artifacts(found[None].info.run_id)}
    assert files == {"fit.json", "plan.csv"}


def offline_records(data: bytes) -> list:
    """Parse the records of W&B's offline file: a LevelDB log, in blocks of 32 KiB, of its own protobuf messages."""
    from wandb.proto import wandb_internal_pb2

    at, whole, records = 7, b"", []
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole one, or the last part
            records.append(wandb_internal_pb2.Record.FromString(whole))
            whole = b""
    return records


@pytest.mark.slow
def test_wandb_reads_its_offline_runs(sweep, runs, tmp_path):
    pytest.importorskip("wandb", reason="wants wandb (extra wandb)")
    for _ in range(2):
        assert write_all(writer_of("wandb", tmp_path, "mine"), runs, artifacts(sweep)) == len(runs)
    for run in runs:
        [path] = (tmp_path / "wandb").glob(f"offline-run-*-{run.run_id}/*.wandb")
        records = offline_records(path.read_bytes())
        losses = [
            json.loads(item.value_json)
            for record in records
            for item in record.history.item
            if "loss" in (item.key, *item.nested_key)
        ]
        assert losses == [pytest.approx(numbers["loss"]) for _, numbers in run.points]
        assert any(record.run.run_id == run.run_id for record in records)


def test_a_tool_that_is_not_there_is_said(runs, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    with pytest.raises(UserError, match=r"found no tensorboard here; .* pip install 'scaling\[tensorboard\]'"):
        writer_of("tensorboard", tmp_path, "mine")


def test_every_tool_has_a_writer_a_next_step_and_may_be_a_mirror():
    assert set(WRITERS) == set(NEXT) == set(MIRRORS)
