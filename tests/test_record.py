"""Records on disk: whole, plain, readable later."""

from __future__ import annotations

import json
import math

import pytest

from analysis.table.results import read_results
from scaling.dispatch.states.read_state import Reader
from scaling.dispatch.states.settled import SettledRuns, clear_for_training, is_settled
from scaling.dispatch.states.state import Planned, State
from scaling.folders import RunFolder, SweepFolder, write_atomically
from scaling.record import BrokenRecord, Point, Record, commit, read_record, write_record

POINT = Point(
    step=10, D=320, C=1000, C_counted=900, epochs=1.5, loss=math.nan, loss_se=0.1, error=None, error_se=None,
    val_loss=math.inf, val_error=None, train_loss=0.2, lr=1e-3, final=True,
)  # fmt: skip
RECORD = Record(
    run_id="0123456789ab",
    status="diverged",
    flags=(),
    config={"seed": 0},
    counts={"N": 10},
    data={"metric": "cross_entropy"},
    points=(POINT,),
    how={"seconds": 1.0},
)


def test_numbers_that_are_not_finite_are_null(tmp_path):
    write_record(tmp_path / "record.json", RECORD)
    raw = json.loads((tmp_path / "record.json").read_text(), parse_constant=pytest.fail)
    assert raw["schema"] == 1
    assert raw["points"][0]["loss"] is None
    assert raw["points"][0]["val_loss"] is None


def test_a_record_comes_back_as_it_was(tmp_path):
    folder = RunFolder(tmp_path / RECORD.run_id)
    write_record(folder.record, RECORD)
    again = read_record(folder)
    assert again is not None
    assert again.to_dict() == RECORD.to_dict()
    assert (again.status, again.flags, again.points[0].step) == ("diverged", (), 10)


def test_a_record_with_fewer_fields_and_unknown_ones_is_read():
    raw = RECORD.to_dict()
    del raw["how"], raw["points"][0]["lr"]
    again = Record.from_dict({**raw, "weather": "fine"})
    assert again.points[0].lr is None
    assert again.how == {}


def test_a_record_of_a_newer_schema_is_refused():
    with pytest.raises(BrokenRecord, match="schema 99"):
        Record.from_dict({**RECORD.to_dict(), "schema": 99})


@pytest.mark.parametrize("keep", [0, 1, 100, -3])
def test_a_record_cut_short_is_named_and_set_aside(keep, tmp_path, caplog):
    folder = RunFolder(tmp_path / "0123456789ab")
    write_record(folder.record, RECORD)
    folder.record.write_bytes(folder.record.read_bytes()[:keep])
    with pytest.raises(BrokenRecord, match=r"record\.json"):
        read_record(folder)
    assert not is_settled(folder)
    clear_for_training(folder)
    assert not folder.record.exists()
    assert folder.path.joinpath("record.json.broken1").exists()
    assert "set aside" in caplog.text


def test_a_record_of_another_run_is_none_of_this_one(tmp_path):
    """As where somebody copies folders of runs, or gives them other names."""
    there, here = RunFolder(tmp_path / "runs" / RECORD.run_id), RunFolder(tmp_path / "runs" / "ba9876543210")
    write_record(there.record, RECORD)
    write_record(here.record, RECORD)
    assert is_settled(there)
    with pytest.raises(BrokenRecord, match=f"that of run {RECORD.run_id}"):
        read_record(here)
    sweep = SweepFolder(tmp_path, "sweep")
    write_atomically(sweep.plan, f"run_id,width\n{there.run_id},1\n{here.run_id},2\n")
    table = read_results(sweep.path)
    assert list(table["status"]) == [RECORD.status, "missing"]
    assert table["reason"][1] == f"its record.json is that of run {RECORD.run_id}"


@pytest.mark.parametrize("raw", ["{}", '{"schema": 1}', "[]", '{"schema": 1, "status": "finished", "points": []}'])
def test_every_reader_gives_one_answer_on_a_record_that_is_none(raw, tmp_path):
    sweep = SweepFolder(tmp_path, "sweep")
    folder = sweep.run("0123456789ab")
    folder.path.mkdir(parents=True)
    folder.record.write_text(raw)
    with pytest.raises(BrokenRecord):
        read_record(folder)
    assert not is_settled(folder)
    settled = SettledRuns(sweep)
    assert not settled.done(folder.run_id)
    assert list(settled.broken) == [folder.run_id]
    [state] = Reader(sweep, [Planned(folder.run_id, "run")]).read().runs
    assert state.state is State.MISSING


def test_a_run_without_a_record_is_not_settled(tmp_path):
    assert read_record(RunFolder(tmp_path / "nothing")) is None
    assert not is_settled(RunFolder(tmp_path / "nothing"))


def test_the_commit_is_that_of_the_sources():
    found = commit()
    assert found == {} or (len(found["commit"]) == 40 and isinstance(found["dirty"], bool))
