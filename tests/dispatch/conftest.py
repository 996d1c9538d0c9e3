"""Sweeps of runs that train nothing, dispatched for real."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from scaling.dispatch.claims import server_clock
from scaling.dispatch.claims.claim import Claim, read_claim
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.run import run_local
from scaling.dispatch.order import Order, order_of
from scaling.dispatch.show import view
from scaling.dispatch.states.outcome import Outcome
from scaling.folders import SweepFolder, read_lines
from scaling.terminal_table import Terminal
from tests.dispatch.stand_in import gate
from tests.waiting import wait_for

STAND_IN = "tests.dispatch.stand_in:train"


def order(folder: SweepFolder, runs: Iterable, *, train: str = STAND_IN, **how) -> Order:
    """Order runs whose training is a stand-in, unless another is named."""
    return replace(order_of(folder, list(runs), **how), train=train)


def run_quietly(order: Order, settings: Local) -> Outcome:
    """Train on this machine, shown to nobody."""
    return run_local(order, settings, view(Terminal(file=StringIO())))


@pytest.fixture
def folder(tmp_path) -> SweepFolder:
    return SweepFolder(tmp_path / "results", "sweep")


def trained(folder: SweepFolder, run) -> list[dict]:
    """Return a line for each time that a run was trained to its end."""
    return list(read_lines(folder.run(run.run_id).path / "trained.txt"))


def causes(folder: SweepFolder, run) -> list[str]:
    return [attempt["cause"] for attempt in read_lines(folder.run(run.run_id).attempts)]


def claims(folder: SweepFolder) -> list[Claim]:
    found = [read_claim(path) for path in folder.results.glob("runs/*/claim.json")]
    return [claim for claim in found if claim is not None]


def at_work(folder: SweepFolder, runs: Iterable) -> list:
    """Return the runs that somebody has claimed and brought to a checkpoint."""
    files = {run.run_id: folder.run(run.run_id) for run in runs}
    return [run for run in runs if files[run.run_id].claim.exists() and files[run.run_id].checkpoint.exists()]


def under_way(folder: SweepFolder, runs: Sequence, count: int = 1) -> Claim:
    """Wait until so many of the runs are at work, and return the claim of one."""
    wait_for(lambda: len(at_work(folder, runs)) >= count)
    claim = read_claim(folder.run(at_work(folder, runs)[0].run_id).claim)
    assert claim is not None, "a run that is held went on"
    return claim


def open_gates(folder: SweepFolder, runs: Iterable) -> None:
    """Let runs that hold go on, now or when they come to it."""
    for run in runs:
        files = folder.run(run.run_id)
        files.path.mkdir(parents=True, exist_ok=True)
        gate(files).touch()


@contextmanager
def meanwhile(act: Callable[[], object]) -> Iterator[None]:
    """Do something beside what this process is busy with; what goes wrong there fails the test."""
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(act)
        yield
    done.result()


@contextmanager
def clock_ahead(seconds: float) -> Iterator[None]:
    """Let this machine's clock go ahead of that of its files."""
    now = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: now() + seconds)
        patch.setattr(server_clock, "_leads", {})
        yield


def leftovers(folder: SweepFolder) -> list[Path]:
    """Return what no settled run may leave behind."""
    runs = folder.results / "runs"
    return [path for path in runs.glob("*/*") if path.name.startswith(".") or path.name == "claim.json"]
