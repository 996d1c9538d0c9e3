"""Records on disk: whole, plain, readable later."""

from __future__ import annotations

import json
import math

import pytest

from scaling.folders import RunFolder
from scaling.record import BrokenRecord, Point, Record, commit, read_record, settled, write_record

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
    write_record(tmp_path / "record.json", RECORD)
    again = read_record(tmp_path / "record.json")
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
        read_record(folder.record)
    assert settled(folder) is None
    assert not folder.record.exists()
    assert folder.path.joinpath("record.json.broken1").exists()
    assert "set aside" in caplog.text


def test_a_run_without_a_record_is_not_settled(tmp_path):
    assert settled(RunFolder(tmp_path / "nothing")) is None


def test_the_commit_is_that_of_the_sources():
    found = commit()
    assert found == {} or (len(found["commit"]) == 40 and isinstance(found["dirty"], bool))
