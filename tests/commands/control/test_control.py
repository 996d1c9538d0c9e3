"""`scaling pause | resume | first`, and how runs are named."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from scaling.commands.control.choice import chosen, the_one
from scaling.dispatch.states.cancelled import cancelled_runs
from scaling.dispatch.states.front import front_runs
from scaling.errors import UserError
from scaling.folders import SweepFolder, write_atomically
from scaling.plan.rows import to_csv
from tests.dispatch.stand_in import write_stand_in_record

ROWS = [
    {"run_id": "aa1", "overrides": "model.width=8 train.budget=3e+08 optim=lion", "C": 1, "width": 8, "budget": 3e8},
    {"run_id": "ab2", "overrides": "model.width=8 train.budget=1e+09 optim=lion", "C": 2, "width": 8, "origin": "12e4"},
    {"run_id": "bb3", "overrides": "model.width=16 train.budget=1e+09 optim=sgd", "C": 3, "width": 16, "origin": "ee9"},
]

GIVE = """
import sys
from scaling.commands.control.first import first
from scaling.commands.control.runs import cancel
for run_id in sys.argv[2:]:
    {"cancel": cancel, "first": first}[sys.argv[1]].main(["results/mine", run_id], standalone_mode=False)
"""


@pytest.fixture
def sweep(scaling) -> SweepFolder:
    folder = SweepFolder(scaling.folder / "results", "mine")
    write_atomically(folder.plan, to_csv(ROWS))
    (folder.results / "runs").mkdir()
    return folder


@pytest.mark.parametrize(
    ("words", "where", "found"),
    [
        ([], [], None),
        (["a"], [], ["aa1", "ab2"]),
        (["aa", "bb3"], [], ["aa1", "bb3"]),
        (["model.width=8"], [], ["aa1", "ab2"]),
        (["model.width=8", "train.budget=1e9"], [], ["ab2"]),
        (["model.width=8.0", "optim=lion"], ["C > 1"], ["ab2"]),
        (["a", "train.budget=300000000"], [], ["aa1"]),
        ([], ["width > 8"], ["bb3"]),
        ([], ["width > 8 or C > 1", "width < 9"], ["ab2"]),
        ([], ["budget == 3e8"], ["aa1"]),  # which others do not have
        ([], ["budget > 1"], ["aa1"]),
        ([], ["budget != 3e8"], ["ab2", "bb3"]),
        ([], ["origin == '12e4'"], ["ab2"]),  # an id that looks like a number
    ],
)
def test_runs_are_named_by_ids_overrides_and_expressions(sweep, words, where, found):
    assert chosen(sweep, words, where) == found


def test_what_names_no_run_is_one_sentence(sweep):
    for words in (["model.width=9"], ["model.depth=1"], ["c"]):
        with pytest.raises(UserError, match="found no run"):
            chosen(sweep, words, [])
    for empty in ([""], ["a", ""], [" "]):  # "$RUN", say, of a shell that has no RUN
        with pytest.raises(UserError, match="found '' as a run"):
            chosen(sweep, empty, [])
    with pytest.raises(UserError, match="found '' as a run"):
        the_one(sweep, [""])
    for where in ([""], ["width > 9)", "(C > 1"]):  # each is an expression by itself
        with pytest.raises(UserError, match="found"):
            chosen(sweep, [], where)


def test_one_run_is_named_alike(sweep):
    assert the_one(sweep, ["train.budget=1e9", "optim=sgd"]) == "bb3"
    assert the_one(sweep, ["model.width=8 train.budget=3e8"]) == "aa1"  # a label, copied whole
    assert the_one(sweep, ["cc"]) == "cc"  # of another sweep, perhaps
    with pytest.raises(UserError, match=r"found 2 runs with optim=lion: aa1 \(model.width=8 .*\), ab2 .*; wanted one"):
        the_one(sweep, ["optim=lion"])


def test_status_names_the_runs_that_were_cancelled_by_name(sweep, scaling):
    scaling("cancel", "results/mine", "optim=sgd")
    assert "note: bb3: cancelled by name; `scaling retry` with their names" in scaling("status", "results/mine")


def test_cancel_says_which_runs_have_settled(sweep, scaling):
    assert "settled before" not in scaling("cancel", "results/mine", "optim=sgd")
    write_stand_in_record(sweep.run("bb3"))
    assert scaling("cancel", "results/mine", "bb3", "aa1").endswith("\nsettled before, and kept: 1 run\n")


def test_a_plan_says_in_what_its_equal_cells_differ(scaling):
    for more in ([], ["train.micro_batch=8,16"]):
        said = scaling("plan", "train.steps=5", "train.batch=32", "train.device=cpu,auto", *more)
        keys = " and ".join(["train.device", *(key.partition("=")[0] for key in more)])
        assert f"that the plan has already, differing only in {keys}\n" in said


def test_commands_given_at_once_lose_none_of_each_others_runs(sweep, scaling):
    ids = [f"c{n:02}" for n in range(40)]
    rows = [{**ROWS[0], "run_id": run_id, "overrides": f"seed={run_id}"} for run_id in ids]
    write_atomically(sweep.plan, to_csv(rows))
    started = [
        subprocess.Popen([sys.executable, "-c", GIVE, verb, *part], cwd=scaling.folder, stdout=subprocess.DEVNULL)
        for verb in ("cancel", "first")
        for part in (ids[:20], ids[20:])
    ]
    assert [process.wait() for process in started] == [0] * 4
    assert sorted(cancelled_runs(sweep)) == sorted(front_runs(sweep)) == ids


def test_first_says_how_many_runs_it_moved(sweep, scaling):
    assert scaling("first", "results/mine", "optim=sgd") == "1 run of results/mine goes first\n"
    assert "note: bb3: first in the queue" in scaling("status", "results/mine")
    told = json.loads(scaling("first", "results/mine", "--where", "width < 10", "--where", "width > 1", "--json", "-"))
    assert told == {"moved": ["aa1", "ab2"], "front": ["aa1", "ab2", "bb3"]}
    assert "usual order" in scaling("first", "results/mine", "--clear")
    assert "found --clear beside runs" in scaling("first", "results/mine", "aa", "--clear", code=2)
    assert json.loads(scaling("first", "results/mine", "aa", "--json", "-"))["front"] == ["aa1"]
    for words in ([], ["aa", "--clear"]):
        assert "wanted ids, overrides or --where; or --clear alone" in scaling("first", "results/mine", *words, code=2)


def test_a_pause_refuses_and_ends_where_no_command_is_known(sweep, scaling):
    assert "results/mine paused, 0/3 settled; scaling resume results/mine continues" in scaling("pause", "results/mine")
    assert "was paused since" in scaling("pause", "results/mine")
    assert "; paused" in scaling("status", "results/mine")
    assert "`scaling resume results/mine` continues it" in scaling("retry", "results/mine", code=2)
    assert "repeat the command" in scaling("resume", "results/mine")
    assert "found results/mine not paused" in scaling("resume", "results/mine", code=2)


@pytest.mark.slow
def test_resume_goes_on_by_the_command_that_planned_the_sweep(scaling):
    run = ["run", "model.width=8,16", "model.depth=1", "train.steps=2", "train.device=cpu", "name=mine"]
    scaling(*run)
    record = next((scaling.folder / "results" / "runs").glob("*/record.json"))
    before = record.read_bytes()
    record.unlink()
    plan = (scaling.folder / "results" / "mine" / "plan.csv").read_bytes()
    scaling("pause", "results/mine")
    assert "scaling resume results/mine" in scaling(*run, "model.width=8", code=2)
    assert (scaling.folder / "results" / "mine" / "plan.csv").read_bytes() == plan
    assert "2/2 runs settled: 1 now" in scaling("resume", "results/mine")
    assert json.loads(record.read_bytes())["points"] == json.loads(before)["points"]


@pytest.mark.slow
def test_resume_starts_nothing_of_another_sweep(scaling):
    scaling("run", "model.width=8,16", "model.depth=1", "train.steps=2", "train.device=cpu", "name=mine")
    (scaling.folder / "results" / "mine").rename(scaling.folder / "results" / "other")
    scaling("pause", "results/other")
    assert "repeat the command" in scaling("resume", "results/other")
    assert not (scaling.folder / "results" / "mine").exists()
