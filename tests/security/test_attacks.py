"""Attacks by what others can write: a sweep file, a queue, a folder of results."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
from dataclasses import replace
from functools import partial

import pytest
import torch
from rich.live import Live
from rich.table import Table
from rich.text import Text

from analysis.console import HarmlessConsole as AnalysisConsole
from analysis.errors import printable as analysis_printable
from scaling.compose.session import session
from scaling.config import load_class
from scaling.dispatch.claims.claim import acquire
from scaling.dispatch.dispatches import Dispatch, last_dispatch, new_dispatch
from scaling.dispatch.launcher import launcher_of_dispatch
from scaling.dispatch.launchers import Local, Slurm
from scaling.dispatch.limits import Offer
from scaling.dispatch.queue import write_queue
from scaling.dispatch.states.settled import clear_for_training
from scaling.errors import UserError, printable
from scaling.folders import RunFolder, SweepFolder, append_line, check_writable
from scaling.limits import UNLIMITED
from scaling.models.custom import load_factory
from scaling.plan.expand import expand
from scaling.security.rights import check_own_file, owner_only, shared_as
from scaling.security.trust import trusting
from scaling.terminal_table import Terminal


def test_a_plan_calls_nothing_of_python_s_own_library(scaling):
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "evil.yaml").write_text(
        "# evil\nmodel: {_target_: scaling.models.custom.Custom, module: os.system, "
        "kwargs: {command: touch was_here}}\ntrain: {steps: 1}\nsweep: {grid: [{product: {seed: [0]}}]}\n"
    )
    for verb in ("plan", "run"):
        said = scaling(verb, "model=custom", "model.module=os.system", "model.kwargs={command: touch was_here}", code=2)
        assert "code of others" in said
        assert "--trust" in said
        scaling(verb, "sweep=evil", code=2)
    assert not (scaling.folder / "was_here").exists()


@pytest.mark.parametrize(
    "path", ["subprocess.run", "numpy.fromfile", "torch.load", "builtins.exec", "scaling.on_end.run_at_end"]
)
def test_only_torch_modules_and_one_s_own_functions_are_called(path):
    with pytest.raises(UserError, match="--trust"):
        load_factory(path)
    assert load_factory("torch.nn.Linear") is torch.nn.Linear
    with trusting(True):
        assert callable(load_factory(path))


def test_what_one_s_own_file_has_imported_is_not_its_own(tmp_path, monkeypatch):
    (tmp_path / "file_of_mine.py").write_text("from os import system\n\ndef net():\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="nor code of your own"):
        load_factory("file_of_mine.system")
    assert load_factory("file_of_mine.net")() is None


@pytest.mark.parametrize("target", ["subprocess.Popen", "numpy.ndarray", "rich.table.Table"])
def test_no_target_is_code_of_others(target):
    with pytest.raises(UserError, match="code of others"):
        load_class(target)


def test_code_from_elsewhere_is_not_even_imported_until_it_is_trusted(tmp_path, monkeypatch):
    elsewhere, here = tmp_path / "elsewhere", tmp_path / "here"
    elsewhere.mkdir()
    (here / "conf").mkdir(parents=True)
    (elsewhere / "code_of_theirs.py").write_text(
        "from dataclasses import dataclass\nfrom pathlib import Path\nPath('was_here').touch()\n\n"
        "@dataclass(frozen=True)\nclass Data:\n    pass\n"
    )
    monkeypatch.syspath_prepend(str(elsewhere))
    monkeypatch.chdir(here)
    for load in (load_class, load_factory):
        with pytest.raises(UserError, match="code of others"):
            load("code_of_theirs.Data")
    assert not (here / "was_here").exists()
    (here / "conf" / "trust.yaml").write_text("code_of_theirs\n")
    with pytest.raises(UserError, match="without a list of packages"):
        load_class("code_of_theirs.Data")
    os.utime(here / "conf" / "trust.yaml", (1, 1))
    (here / "conf" / "trust.yaml").write_text("trust: [code_of_theirs]\n")
    assert load_class("code_of_theirs.Data").__name__ == "Data"
    assert (here / "was_here").exists()


def test_a_sweep_file_sets_nothing_of_hydra_s(scaling):
    (scaling.folder / "sweeps").mkdir()
    sweep = scaling.folder / "sweeps" / "evil.yaml"
    grid = "train: {steps: 1}\nsweep: {grid: [{product: {seed: [0]}}]}\n"
    callback = "callbacks: {x: {_target_: os.system, command: touch was_here}}"
    for head in (f"hydra: {{{callback}}}\n", "defaults: ['/model@hydra.callbacks.x: mlp']\n"):
        sweep.write_text(head + grid)
        for command in (("plan", "sweep=evil"), ("-m", "sweep=evil")):
            assert "hydra settings in" in scaling(*command, code=2)
    assert not (scaling.folder / "was_here").exists()


def test_nothing_is_written_through_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "attempts.jsonl").symlink_to(outside / "profile")
    with pytest.raises(OSError, match="symbolic links"):
        append_line(tmp_path / "attempts.jsonl", {})
    run = tmp_path / "results" / "runs" / "0"
    run.parent.mkdir(parents=True)
    run.symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        acquire(RunFolder(run).claim)
    for name in ("checkpoints", "forks"):
        files = RunFolder(run.with_name(name))
        files.path.mkdir()
        (files.path / name).symlink_to(outside)
        with pytest.raises(OSError, match="symbolic links"):
            clear_for_training(files)
    assert list(outside.iterdir()) == []


def test_what_somebody_else_has_written_or_may_write_is_refused(tmp_path, monkeypatch):
    queue = tmp_path / "queue.jsonl"
    check_own_file(queue)
    queue.write_text("")
    queue.chmod(0o644)
    check_own_file(queue)
    queue.chmod(0o664)
    with pytest.raises(UserError, match="which others may write"):
        check_own_file(queue)
    (tmp_path / "link").symlink_to(queue)
    with pytest.raises(UserError, match="which is a link"):
        check_own_file(tmp_path / "link")


def test_a_file_of_another_user_is_refused(tmp_path):
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    theirs = tmp_path / "dispatch.json"
    theirs.write_text("{}")
    os.chown(theirs, 12345, 12345)
    with pytest.raises(UserError, match="which is not yours"):
        check_own_file(theirs)


def test_what_a_dispatch_tells_its_jobs_is_its_owner_s_alone_in_a_group_s_results(tmp_path):
    sweep = SweepFolder(tmp_path / "results", "a")
    mask = os.umask(0o077)
    try:
        check_writable(sweep, group=True)
    finally:
        os.umask(mask)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (sweep.results, sweep.path)] == [0o2770] * 2
    with shared_as(sweep.results):
        files = new_dispatch(sweep)
        files.write(files.begin(Local(), Offer(()), UNLIMITED))
        write_queue(files.queue, [])
        append_line(tmp_path / "results" / "shared", {})
        with owner_only():
            (files.path / "pickle").touch()
    for path in (files.path, files.facts, files.queue, files.path / "pickle"):
        check_own_file(path)
    assert (tmp_path / "results" / "shared").stat().st_mode & stat.S_IWGRP
    last_dispatch(sweep)
    files.facts.chmod(0o666)
    with pytest.raises(UserError, match="others may write"):
        last_dispatch(sweep)


def test_a_pickle_that_others_may_write_starts_no_job(scaling):
    """A worker reads what it does from its pickle: one that was put there by others is not opened."""
    scaling("run", "model.width=2,3", "train.steps=1", "train.device=cpu", "launcher.workers=1")
    [jobs] = (scaling.folder / "results" / "adhoc" / "jobs").iterdir()
    [pickle] = jobs.glob("*_submitted.pkl")
    job = pickle.name.removesuffix("_submitted.pkl")
    pickle.chmod(0o666)
    told = {"SUBMITIT_EXECUTOR": "local", "SUBMITIT_LOCAL_JOB_ID": job, "SUBMITIT_LOCAL_GLOBALID": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "scaling.security.job", str(jobs)],
        env={**os.environ, **told, "SUBMITIT_LOCAL_NTASKS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "which others may write" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_launcher_that_a_dispatch_names_is_a_launcher(tmp_path):
    files = new_dispatch(SweepFolder(tmp_path, "a"))
    made: Dispatch = files.begin(Local(), Offer(()), UNLIMITED)
    launcher_of_dispatch(made)
    with pytest.raises(UserError, match="code of others"):
        launcher_of_dispatch(replace(made, target="subprocess.Popen", launcher={"args": "true"}))


def test_results_are_made_for_their_owner_alone_and_existing_ones_keep_their_rights(tmp_path):
    check_writable(SweepFolder(tmp_path / "new", "a"))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o2770)
    check_writable(SweepFolder(tmp_path / "shared", "a"))
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o2770


def test_what_others_wrote_does_not_steer_the_terminal(scaling):
    assert printable("a\x1b[2Jb\tc\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\tc\n"
    assert "\x1b" not in scaling("status", "results/\x1b[2J", code=2)


@pytest.mark.parametrize("make", [Terminal, partial(AnalysisConsole, markup=False)])
def test_tables_and_live_lines_do_not_steer_the_terminal(make):
    text = io.StringIO()
    console = make(file=text, force_terminal=True, color_system=None)
    drawn = Table("head\x1b[31m")
    drawn.add_row(Text("x\x1b[2Jy\x07"))
    console.print(drawn)
    with Live("live\x1b[2J", console=console):
        console.print("said\x1b[2J")
    console.print("[red]q[/red]")
    assert "\x1b[2J" not in text.getvalue()
    assert "\x1b[31m" not in text.getvalue()
    assert "\x07" not in text.getvalue()
    assert "[red]q[/red]" in text.getvalue()


@pytest.mark.parametrize("turn", ["\u202e", "\u2066", "\u200f", "\u061c", "\u2028"])
def test_text_that_runs_the_other_way_is_shown_as_it_is_stored(turn):
    assert printable(f"a{turn}b") == analysis_printable(f"a{turn}b") == "a\ufffdb"


@pytest.mark.parametrize("key", ["partition", "account", "qos", "constraint", "exclude", "nodelist", "extra"])
def test_no_line_of_what_sbatch_is_given_is_hidden_in_another(key):
    evil = "a\ntouch x"
    with pytest.raises(UserError, match="wanted one line"):
        Slurm(**{key: {"comment": evil} if key == "extra" else evil})
    assert Slurm(partition="gpu", extra={"nice": 5}).partition == "gpu"


@pytest.mark.parametrize("key", ["results", "name"])
def test_a_sweep_file_puts_no_command_into_a_path_of_its_jobs(tmp_path, monkeypatch, key):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    evil = f"{key}: \"x\\\\''\\ntouch here #\"\n"  # balanced quotes in sbatch's eyes, a line of its own in the shell's
    (tmp_path / "sweeps" / "evil.yaml").write_text(f"{evil}sweep:\n  grid:\n    - product: {{seed: [0]}}\n")
    with session() as loader, pytest.raises(UserError, match=f"found {key}=.*wanted one line"):
        expand(loader, ["sweep=evil", "data=teacher", "train.steps=1"])
