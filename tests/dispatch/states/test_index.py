"""The index spares the reading of records, and is believed only of the very files that it was made of."""

from __future__ import annotations

import json
import os

import pytest

from scaling.dispatch.claims.index_notes import IndexNotes
from scaling.dispatch.states import index
from scaling.dispatch.states import settled as settled_module
from scaling.dispatch.states.attempts import Start, ended_attempt
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.settled import SettledRuns, supersede
from tests.dispatch.stand_in import planned, write_stand_in_record


@pytest.fixture
def opened(monkeypatch):
    """The records that are read, one by one."""
    read, found = settled_module.read_record, []
    monkeypatch.setattr(settled_module, "read_record", lambda files: found.append(files.run_id) or read(files))
    return found


@pytest.fixture
def runs(folder):
    made = [planned(seed) for seed in range(5)]
    for run in made:
        write_stand_in_record(folder.run(run.run_id))
    return [run.run_id for run in made]


def indexed(folder, runs):
    reader = SettledRuns(folder)
    found = [reader.get(run_id) for run_id in runs]
    reader.write_index()
    return found


def test_each_record_is_read_once_by_all_commands_together(folder, runs, opened):
    first = indexed(folder, runs)
    assert sorted(opened) == sorted(runs)
    opened.clear()
    assert indexed(folder, runs) == first
    assert opened == []


def test_a_record_that_was_changed_is_read_and_one_that_is_gone_is_gone(folder, runs, opened):
    indexed(folder, runs)
    opened.clear()
    path = folder.run(runs[0]).record
    record = json.loads(path.read_text())
    record["points"][-1]["loss"] = 0.125
    path.write_text(json.dumps(record))
    folder.run(runs[1]).record.unlink()
    supersede(folder.run(runs[2]))
    reader = SettledRuns(folder)
    assert reader.get(runs[0]).loss == 0.125
    assert [reader.get(run_id) is None for run_id in runs] == [False, True, True, False, False]
    assert opened == [runs[0]]


def test_a_copy_of_the_results_elsewhere_is_read_again(folder, runs, opened):
    indexed(folder, runs)
    opened.clear()
    path = folder.run(runs[0]).record
    os.utime(path, ns=(0, 1))
    indexed(folder, runs)
    indexed(folder, runs)
    assert opened == [runs[0]]


def test_lines_that_are_cut_or_foreign_cost_a_look_and_no_more(folder, runs, opened):
    indexed(folder, runs)
    [path] = (folder.results / ".index").glob("*.log")
    whole = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(
        whole[0][:40]
        + b"\n\xff\xfe nonsense\ns x [1,\ns x []\ns x {}\ns x [1]\n"
        + b"".join(whole[1:4])
        + whole[4][:-30]
    )
    opened.clear()
    assert all(found is not None for found in indexed(folder, runs))
    assert len(opened) == 2


def test_news_are_whole_lines_of_all_machines_once(folder):
    runs = folder.results
    mine, reader = Index(runs), Index(runs)
    mine.append(index.CLAIMED, "a", {"token": "1"})
    (runs / ".index" / "other.log").write_bytes(b'c b {"token":"2"}\nt b {"tok')
    assert sorted(event.run_id for event in reader.news()) == ["a", "b"]
    assert list(reader.news()) == []
    with (runs / ".index" / "other.log").open("ab") as file:
        file.write(b'en":"2"}\n')
    assert [(event.kind, event.read()) for event in reader.news()] == [(index.TRIED, {"token": "2"})]
    later = Index(runs, since=mine.sizes())
    mine.append(index.DROPPED, "a", {})
    assert [event.kind for event in later.news()] == [index.DROPPED]


def test_a_link_in_the_place_of_the_index_is_not_written_through(folder, runs, tmp_path):
    indexed(folder, runs)
    [path] = (folder.results / ".index").glob("*.log")
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    Index(folder.results).append(index.DROPPED, runs[0], {})
    assert not (tmp_path / "elsewhere").exists()


def test_a_link_in_the_place_of_the_index_s_folder_is_not_written_through(folder, runs, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    folder.results.mkdir(exist_ok=True)
    (folder.results / ".index").symlink_to(tmp_path / "elsewhere")
    Index(folder.results).append(index.DROPPED, runs[0], {})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_attempt_is_noted_where_its_record_cannot_be_read(folder):
    """Others would else take the run for held, and count it as under way."""
    files = folder.run("a")
    attempt = ended_attempt(Start(), job="", gpus=1, cause="finished", step=1, failure=None)
    files.path.mkdir(parents=True)
    files.record.symlink_to("record.json")
    with pytest.raises(OSError, match="symbolic links"):
        IndexNotes(Index(folder.results)).tried(files, attempt)
    assert [event.kind for event in Index(folder.results).news()] == [index.TRIED]
