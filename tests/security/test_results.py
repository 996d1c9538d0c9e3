"""Attacks by who may write into a folder of results: pipes, paths, claims, lines and plans that are not ours."""

from __future__ import annotations

import json
import os
import shutil

import pytest

from analysis.errors import UserError as AnalysisError
from analysis.publish.bundle import bundle
from analysis.report.law_results import LawOptions
from analysis.table.read import load_table
from scaling.dispatch.claims.claim import Claim, Observer, acquire, read_claim, take
from scaling.dispatch.control.logs import job_logs, read_log
from scaling.dispatch.leftovers.find import find_leftovers
from scaling.dispatch.states.front import front_runs
from scaling.dispatch.states.index import SETTLED, Index
from scaling.dispatch.states.paused import paused_words
from scaling.dispatch.states.read_plan import read_plan
from scaling.dispatch.states.read_state import read_status
from scaling.dispatch.states.settled import SettledRuns
from scaling.errors import UserError
from scaling.folders import RunFolder, SweepFolder, append_line, write_atomically
from scaling.record import BrokenRecord, read_record
from scaling.security.reading import NotAFile, read_bytes, read_text
from tests.analysis.worlds import small, write_results


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return write_results(small(), tmp_path_factory.mktemp("made"), "mine")


@pytest.fixture
def folder(made, tmp_path):
    shutil.copytree(made.parent, tmp_path / "results")
    return SweepFolder(tmp_path / "results", "mine")


def first(folder: SweepFolder) -> RunFolder:
    return folder.run(min(path.name for path in (folder.results / "runs").iterdir()))


def pipe(path) -> None:
    path.unlink(missing_ok=True)
    os.mkfifo(path)


@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "holes"])
def test_only_regular_files_of_a_bounded_size_are_read(tmp_path, kind):
    path = tmp_path / "x"
    if kind == "pipe":
        pipe(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 1 << 40)
    for read in (read_bytes, read_text):
        with pytest.raises(NotAFile):
            read(path)


def test_a_pipe_in_the_place_of_a_record_costs_its_run_alone(folder):
    run = first(folder)
    pipe(run.record)
    with pytest.raises(BrokenRecord):
        read_record(run)
    assert SettledRuns(folder).get(run.run_id) is None
    status = read_status(folder)
    assert status.settled == len(status.runs) - 1
    table = load_table(folder.path)
    assert (table[table["run_id"] == run.run_id]["status"] == "missing").all()


def test_pipes_in_all_other_places_make_nobody_wait(folder):
    run = first(folder)
    run.record.unlink()
    pipe(run.claim)
    assert read_claim(run.claim) == Claim.from_json(b"")
    assert len(read_status(folder).runs) > 1
    held = acquire(run.claim)
    assert held is None
    for path in (folder.front, folder.paused, folder.forecast, folder.cancelled, folder.sweep):
        pipe(path)
    assert front_runs(folder) == ()
    assert paused_words(folder) == "paused"
    assert len(read_plan(folder)) > 1
    Index(folder.results).append(SETTLED, "x", [])
    [own] = (folder.results / ".index").iterdir()
    pipe(own)
    Index(folder.results).append(SETTLED, "x", [])
    assert list(Index(folder.results).texts()) == []
    pipe(run.attempts)
    with pytest.raises(OSError, match="no regular file"):
        append_line(run.attempts, {})


def test_a_pipe_for_a_claim_is_taken_over_like_a_dead_one(folder):
    run, now = first(folder), [0.0]
    pipe(run.claim)
    observer = Observer(clock=lambda: now[0])
    assert take(run.claim, observer) is None
    now[0] = 1e3
    held = take(run.claim, observer)
    assert held is not None
    held.release()


def test_what_lies_where_a_file_is_written_aside_is_not_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr("scaling.folders._temporary", lambda path: path.with_name("aside"))
    victim = tmp_path / "victim"
    victim.write_text("kept")
    (tmp_path / "aside").hardlink_to(victim)
    write_atomically(tmp_path / "record.json", "new")
    assert (victim.read_text(), (tmp_path / "record.json").read_text()) == ("kept", "new")


@pytest.mark.parametrize("run_id", ["../../victim", "/tmp", "..", "."])
def test_no_run_s_id_leads_out_of_its_folder(folder, run_id):
    plan = folder.plan.read_text().splitlines(keepends=True)
    folder.plan.write_text(plan[0] + run_id + plan[1][plan[1].index(",") :] + "".join(plan[2:]))
    for read in (read_status, find_leftovers):
        with pytest.raises(UserError, match="somebody has changed"):
            read(folder)
    with pytest.raises(AnalysisError, match="somebody has changed"):
        load_table(folder.path)


@pytest.mark.parametrize(
    "changed",
    [
        {"token": "../../x"},
        {"process": {"host": "h", "space": "s", "pid": "1/../../../victim/*", "start": 0}},
        {"process": {"host": "h", "space": "s", "pid": 1.5, "start": 0}},
        {"since": "x"},
        {"period": float("inf")},
        {"stack": 0},
        {"progress": 3},
    ],
)
def test_a_claim_that_says_what_ours_never_say_is_of_nobody_known(tmp_path, changed):
    held = acquire(tmp_path / "claim.json")
    whole = json.loads(held.claim.to_json())
    found = Claim.from_json(json.dumps({**whole, **changed}).encode())
    assert (found.process.host, found.process.pid) == ("?", 0)
    assert Claim.from_json(held.claim.to_json()) == held.claim


@pytest.mark.parametrize("text", ["[" * 200_000, '{"a":' * 200_000])
def test_endlessly_nested_files_are_broken_ones(folder, text):
    run = first(folder)
    for path in (run.record, run.attempts, run.log, folder.front, folder.paused):
        path.write_text(text)
    assert len(load_table(folder.path)) > 1
    status = read_status(folder)
    assert status.settled == len(status.runs) - 1
    assert next(read_log(folder, run.run_id)) == f"run {run.run_id} is not started"


def test_the_index_may_say_what_it_likes(folder):
    run_id = first(folder).run_id
    (folder.results / ".index").mkdir(exist_ok=True)
    lines = ["s x []", "s x {}", "s x [1]", f"s {run_id} [1,2]", f's {run_id} [1,2,"finished"]', "c x 5", "s x [[],{}]"]
    lines.append(f"s {run_id} [[],{{}},1]")
    (folder.results / ".index" / "evil.log").write_text("\n".join(lines) + "\n")
    status = read_status(folder)
    assert status.settled == len(status.runs)


def test_a_job_s_log_is_sought_among_the_jobs_of_the_sweep(folder, tmp_path):
    run = first(folder)
    (folder.jobs / "1").mkdir(parents=True)
    (tmp_path / "secret_0_log.err").write_text("secret")
    for job in ("../../../../secret", "/etc/x", "*"):
        run.attempts.write_text(json.dumps({"job": job, "cause": "crashed"}) + "\n")
        assert job_logs(folder, run) == []
    (folder.jobs / "1" / "7_0_log.err").symlink_to(tmp_path / "secret_0_log.err")
    run.attempts.write_text(json.dumps({"job": "7", "cause": "crashed"}) + "\n")
    assert job_logs(folder, run) == []


@pytest.mark.parametrize("name", ["sweep.yaml", "import.json", "efficiency.csv", "rounds"])
def test_a_bundle_publishes_nothing_that_a_link_leads_to(folder, tmp_path, name):
    (tmp_path / "secret").write_text("secret")
    (folder.path / name).unlink(missing_ok=True)
    (folder.path / name).symlink_to(tmp_path / "secret")
    with pytest.raises(AnalysisError, match="a link"):
        bundle(folder.path, law_options=LawOptions(0))
