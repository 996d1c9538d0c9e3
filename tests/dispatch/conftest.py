"""Sweeps of runs that train nothing, dispatched for real."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scaling.folders import SweepFolder, read_lines

STAND_IN = "tests.dispatch.stand_in:train"


@pytest.fixture
def folder(tmp_path) -> SweepFolder:
    return SweepFolder(tmp_path / "results", "sweep")


def trained(folder: SweepFolder, run) -> list[dict]:
    """Return a line for each time that a run was trained to its end."""
    return list(read_lines(folder.run(run.run_id).path / "trained.txt"))


def causes(folder: SweepFolder, run) -> list[str]:
    return [attempt["cause"] for attempt in read_lines(folder.run(run.run_id).attempts)]


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def leftovers(folder: SweepFolder) -> list[Path]:
    """Return what no settled run may leave behind."""
    runs = folder.results / "runs"
    return [path for path in runs.glob("*/*") if path.name.startswith(".") or path.name == "claim.json"]
