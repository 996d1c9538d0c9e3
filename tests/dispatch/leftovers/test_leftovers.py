"""What can go of a sweep, and what stays: real folders, real claims, no training."""

from __future__ import annotations

import json
import os

import pytest

from scaling.dispatch.claims.claim import acquire
from scaling.dispatch.dispatches import dispatches, new_dispatch
from scaling.dispatch.launchers import Local
from scaling.dispatch.leftovers.find import OLD_SECONDS, find_leftovers
from scaling.dispatch.leftovers.remove import refuse_at_work, remove
from scaling.dispatch.limits import Offer
from scaling.dispatch.process import Process
from scaling.dispatch.queue import Entry, write_queue
from scaling.errors import UserError
from scaling.folders import SweepFolder, write_atomically
from scaling.limits import UNLIMITED
from scaling.plan.rows import BrokenPlan, read_rows, to_csv
from tests.dispatch.stand_in import write_stand_in_record

HALF_WRITTEN = (".checkpoint.node.7.8", ".claim.json.0a", "..claim.json.0a.1b.aside")
LEFT = ("checkpoint", "record.json.before", "record.json.broken1", *HALF_WRITTEN, "checkpoints/40", "forks/20")


def plan(folder: SweepFolder, *runs: str, **children: tuple[str, int]) -> None:
    """Write a plan of runs, and of children that start from the weights of a run at a step."""
    rows = [{"run_id": run_id, "overrides": run_id, "C": 1, "parent": "", "parent_step": ""} for run_id in runs]
    rows += [
        {"run_id": run_id, "overrides": run_id, "C": 1, "parent": parent, "parent_step": step}
        for run_id, (parent, step) in children.items()
    ]
    write_atomically(folder.plan, to_csv(rows))


def dispatched(folder: SweepFolder, *runs: str) -> None:
    """Write down a dispatch of runs whose dispatcher has ended."""
    files, queue = new_dispatch(folder), [Entry(run_id, C=1.0) for run_id in runs]
    dispatch = files.begin(Local(), Offer(tuple(queue)), UNLIMITED)
    files.write(type(dispatch)(**{**vars(dispatch), "process": Process("?", "?", 0, 0), "ended": True}))
    write_queue(files.queue, queue)


def settle(folder: SweepFolder, *runs: str) -> None:
    for run_id in runs:
        write_stand_in_record(folder.run(run_id))


def leave(folder: SweepFolder, run_id: str, *names: str) -> None:
    """Put files into a run's folder that are older than anybody is still writing."""
    for name in names:
        path = folder.run(run_id).path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"0" * 100)
        os.utime(path, (path.stat().st_mtime - 2 * OLD_SECONDS,) * 2)


def kinds(folder: SweepFolder) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for one in find_leftovers(folder):
        found.setdefault(one.kind, set()).add(one.path.relative_to(folder.results).as_posix())
    return found


def files_of(folder: SweepFolder) -> set[str]:
    every = (path for path in folder.results.rglob("*") if path.is_file())
    return {path.relative_to(folder.results).as_posix() for path in every}


def test_of_a_settled_run_all_goes_but_its_record(folder):
    plan(folder, "a")
    settle(folder, "a")
    leave(folder, "a", *LEFT)
    assert kinds(folder) == {
        "asides": {"runs/a/record.json.before", "runs/a/record.json.broken1"},
        "checkpoints": {"runs/a/checkpoint", "runs/a/forks/20"},
        "temporary": {f"runs/a/{name}" for name in HALF_WRITTEN},
        "weights": {"runs/a/checkpoints/40"},
    }
    assert remove(folder, find_leftovers(folder)) == []
    assert files_of(folder) == {"sweep/plan.csv", "runs/a/record.json"}


def test_of_a_run_to_come_its_checkpoint_and_states_stay(folder):
    plan(folder, "a")
    leave(folder, "a", *LEFT)
    assert set(kinds(folder)) == {"asides", "temporary"}


def test_a_file_that_somebody_may_be_writing_stays(folder):
    plan(folder, "a")
    leave(folder, "a", "log.jsonl")
    (folder.run("a").path / ".checkpoint.node.7.8").touch()
    assert kinds(folder) == {}


def test_weights_stay_for_a_child_to_come_and_go_when_it_is_settled(folder):
    plan(folder, "a", child=("a", 40))
    settle(folder, "a")
    leave(folder, "a", "checkpoints/40")
    assert kinds(folder) == {}
    settle(folder, "child")
    assert kinds(folder) == {"checkpoints": {"runs/a/checkpoints/40"}}


def test_weights_stay_for_a_settled_child_whose_own_weights_are_lost(folder):
    """The grandchild needs the child's weights: the child will be trained again, from those of its parent."""
    plan(folder, "a", child=("a", 40), grandchild=("child", 9))
    settle(folder, "a", "child")
    leave(folder, "a", "checkpoints/40")
    assert kinds(folder) == {}
    leave(folder, "child", "checkpoints/9")
    assert kinds(folder) == {"checkpoints": {"runs/a/checkpoints/40"}}


def test_weights_stay_for_a_child_of_another_sweep(folder):
    plan(folder, "a")
    plan(SweepFolder(folder.results, "paper/probes"), child=("a", 40))
    settle(folder, "a")
    leave(folder, "a", "checkpoints/40")
    assert kinds(folder) == {}


def test_a_run_that_the_plan_has_lost_goes_whole_unless_another_plan_names_it(folder):
    plan(folder, "new")
    dispatched(folder, "old", "shared", "new")
    settle(folder, "old", "shared", "new")
    plan(SweepFolder(folder.results, "other"), "shared")
    assert kinds(folder) == {"runs": {"runs/old"}}
    remove(folder, find_leftovers(folder))
    assert sorted(path.name for path in (folder.results / "runs").iterdir()) == ["new", "shared"]


@pytest.mark.parametrize("name", ["figures", ".hidden", "paper/jobs", "jobs/mine", "runs2", "linked"])
def test_a_sweep_of_any_name_keeps_its_runs(folder, name, tmp_path):
    dispatched(folder, "a", "b")
    plan(folder, "b")
    settle(folder, "a")
    assert kinds(folder) == {"runs": {"runs/a"}}
    if name == "linked":
        (tmp_path / "elsewhere").mkdir()
        (folder.results / name).symlink_to(tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "up").symlink_to(folder.results)
    plan(SweepFolder(folder.results, name), "a")
    assert kinds(folder) == {}


def test_the_code_of_dispatches_goes_when_they_have_ended(folder):
    plan(folder, "a")
    dispatched(folder, "a")
    live = new_dispatch(folder)
    live.write(live.begin(Local(), Offer(()), UNLIMITED))  # its dispatcher is this process
    for code in (files.code for files, _ in dispatches(folder)):
        code.mkdir()
        (code / "model.py").write_bytes(b"0" * 50)
    [found] = find_leftovers(folder)
    assert (found.kind, found.bytes, found.path != live.code) == ("code", 50, True)


def test_a_run_of_nobody_s_dispatch_stays(folder):
    plan(folder, "new")
    settle(folder, "foreign")
    assert kinds(folder) == {}


@pytest.mark.parametrize(
    "text", ["run_id,C\nold", "run_id,C,parent,parent_step\na,1,b,2\nrun_id,C,parent,parent_step\n"]
)
def test_a_plan_that_cannot_be_read_keeps_everything(folder, text):
    plan(folder, "new")
    dispatched(folder, "old")
    settle(folder, "old")
    other = SweepFolder(folder.results, "other")
    write_atomically(other.plan, text)
    with pytest.raises(BrokenPlan, match="not a whole plan"):
        find_leftovers(folder)


def test_links_are_neither_followed_nor_removed(folder, tmp_path):
    outside = tmp_path / "outside"
    (outside / "checkpoints").mkdir(parents=True)
    (outside / "record.json.before").touch()
    plan(folder, "a")
    dispatched(folder, "a", "gone")
    folder.run("a").path.parent.mkdir()
    folder.run("a").path.symlink_to(outside)
    folder.run("gone").path.symlink_to(outside)
    (folder.results / "features").symlink_to(outside)
    assert kinds(folder) == {}


def test_nothing_goes_while_somebody_is_at_work(folder):
    plan(folder, "a")
    settle(folder, "a")
    other = SweepFolder(folder.results, "other")
    held = acquire(other.run("b").claim)
    with pytest.raises(UserError, match=r"1 run .* being trained, or about to be \(b\)"):
        refuse_at_work(folder)
    held.release()
    refuse_at_work(folder)


def test_a_run_that_is_claimed_in_the_meantime_is_left(folder):
    plan(folder, "a")
    settle(folder, "a")
    leave(folder, "a", "checkpoint")
    found = find_leftovers(folder)
    held = acquire(folder.run("a").claim)
    assert remove(folder, found) == found
    held.release()
    assert remove(folder, found) == []


def test_it_shows_first_and_removes_when_told(folder, scaling):
    plan(folder, "a")
    settle(folder, "a")
    leave(folder, "a", "checkpoint", "checkpoints/40")
    said = scaling("clean", "results/sweep")
    assert "checkpoints" in said
    assert "they stay (--only weights removes them)" in said
    assert "nothing was removed; --yes removes 100 B" in said
    assert scaling("clean", "results/sweep", "--only", "weight", code=2).startswith("error: found --only 'weight'")
    told = json.loads(scaling("clean", "results/sweep", "--yes", "--json", "-"))
    assert told["removed"]["checkpoints"] == {
        "count": 1,
        "files": 1,
        "bytes": 100,
        "paths": ["results/runs/a/checkpoint"],
    }
    assert "weights" in told["found"]
    assert "weights" not in told["removed"]
    assert "nothing to remove in results/sweep" in scaling("clean", "results/sweep")
    scaling("clean", "results/sweep", "--only", "weights", "--yes")
    assert files_of(folder) == {"sweep/plan.csv", "runs/a/record.json"}


STAGES = """
# mine: probes of two networks at two checkpoints each
defaults: [override /schedule: constant, override /data: digits]
model: {depth: 1}
train: {batch: 32, device: cpu}
sweep:
  grid: [{product: {model.width: [8, 16], train.milestones: [[1, 2]], train.epochs: [2]}}]
  stages:
    - {name: probe, of: train, at: milestones, base: {stage: probe, data: digits, optim.lr: 1.0e-2, train.epochs: 2}}
"""


@pytest.mark.slow
def test_a_sweep_of_stages_that_was_cleaned_on_its_way_ends_as_before(scaling):
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "mine.yaml").write_text(STAGES)
    scaling("run", "sweep=mine")
    folder = SweepFolder(scaling.folder / "results", "mine")
    probe = next(row["run_id"] for row in read_rows(folder) if row["parent"])
    points = json.loads(folder.run(probe).record.read_bytes())["points"]
    folder.run(probe).record.unlink()
    told = json.loads(scaling("clean", "results/mine", "--yes", "--json", "-"))["removed"]
    assert (told["checkpoints"]["count"], told["features"]["count"]) == (3, 4)
    assert "6/6 runs settled: 1 now" in scaling("run", "sweep=mine")
    assert json.loads(folder.run(probe).record.read_bytes())["points"] == points
    assert len(list(folder.results.glob("runs/*/checkpoints/*"))) == 1
