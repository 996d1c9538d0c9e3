"""A hundred thousand settled runs and a thousand workers, on real files: CPU seconds at three sizes, and files opened.

Run: python -m tests.benchmarks.bench_scale [RUNS] [WORKERS]
"""

from __future__ import annotations

import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import chdir
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scaling.compose.session import session
from scaling.config import plain
from scaling.dispatch.queue import Entry, write_queue
from scaling.folders import SweepFolder
from scaling.plan.expand import expand
from scaling.plan.planned import PlannedRun
from scaling.record import Point, Record, commit, versions
from tests.benchmarks.crowd import SAMPLE, at_work

RUNS, WORKERS = 100_000, 1_000
SHARES = (0.1, 0.3, 1.0)  # of the runs: linear or not
SWEEP = """\
train: {{device: cpu}}
launcher: {{workers: 1}}
sweep:
  grid:
    - product:
        model.width: [8, 12, 16, 24, 32, 48, 64, 96, 128, 192]
        train.examples: [1280, 2560, 3840, 5120, 6400, 7680, 8960, 10240, 11520, 12800]
        seed: {{from: 0, to: {last}, step: 1}}
"""
COMMANDS = {
    "plan": ["plan", "sweep=big"],
    "run, first (reads every record)": ["run", "sweep=big"],
    "run": ["run", "sweep=big"],
    "status": ["status", "results/big"],
    "collect": ["collect", "results/big", "-o", "table.parquet"],
}


def main(runs: int = RUNS, workers: int = WORKERS) -> None:
    """Time every command on settled sweeps of three sizes, then the workers of an open one."""
    console, sizes = Console(), [round(share * runs / 100) * 100 for share in SHARES]
    table = Table("CPU s, all settled", *(f"{size:,} runs" for size in sizes), "a run, largest / smallest")
    took: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="scaling-bench-") as place, chdir(place):
            settle(plan(size))
            for name, command in COMMANDS.items():
                took[name].append(timed([sys.executable, "-m", "scaling", *command]))
        console.print(f"{size:,} runs: " + ", ".join(f"{name} {found[-1]:.1f} s" for name, found in took.items()))
    for name, seconds in took.items():
        growth = (seconds[-1] / sizes[-1]) / (seconds[0] / sizes[0])
        table.add_row(name, *(f"{value:.1f}" for value in seconds), f"{growth:.2f}")
    console.print(table)
    console.print(crowd([(size, max(SAMPLE, round(workers * size / runs))) for size in sizes]))


def plan(size: int) -> tuple[SweepFolder, tuple[PlannedRun, ...]]:
    """Plan a sweep of so many runs in the current folder."""
    Path("sweeps").mkdir()
    Path("sweeps/big.yaml").write_text(SWEEP.format(last=size // 100 - 1))
    with session() as loader:
        planned = expand(loader, ["sweep=big"])
    return planned.folder, planned.runs


def settle(planned: tuple[SweepFolder, tuple[PlannedRun, ...]]) -> None:
    """Write a record and an attempt for each run."""
    folder, runs = planned
    for run in runs:
        files = folder.run(run.run_id)
        files.path.mkdir(parents=True, exist_ok=True)
        files.record.write_text(record_text(run))
        files.attempts.write_text('{"cause": "finished", "seconds": 1.0, "gpu_seconds": 1.0, "step": 10}\n')


def record_text(run: PlannedRun) -> str:
    """Return a record as long as a real one."""
    quantities = run.quantities
    reached = (quantities.steps, quantities.D, quantities.C, quantities.C_counted, 1.0)
    point = Point(*reached, 1.0, 0.01, 0.5, 0.01, 1.0, 0.5, 1.0, 1e-3, True)
    facts = {
        "seconds": 1.0,
        "examples_per_second": 1e3,
        "host": platform.node(),
        "device": "CPU",
        "precision": "fp32",
        "versions": versions(),
        "git": commit(),
        "attempts": 1,
        "forecast_seconds": 1.0,
        "finished_at": "2026-01-01T00:00:00+00:00",
    }
    counts = {**quantities.counts.columns(), **quantities.columns()}
    data = {"metric": "cross_entropy", "has_error": True, "chance": 2.3, "chance_se": 0.0, "n_test": 100, "n_val": 100}
    record = Record(run.run_id, "finished", (), plain(run.config), counts, data, (point,), how=facts)
    return json.dumps(record.to_dict(), indent=1) + "\n"


def crowd(sizes: Sequence[tuple[int, int]]) -> Table:
    """Let ever more workers share an open queue (crowd.py): what a run costs a worker beside its training."""
    table = Table("beside training", *(f"{workers:,} workers, {runs:,} runs" for runs, workers in sizes))
    rows: dict[str, list[str]] = {}
    for runs, workers in sizes:
        with tempfile.TemporaryDirectory(prefix="scaling-bench-") as place, chdir(place):
            folder, planned = plan(runs)
            queue = folder.path / "jobs" / "1" / "queue.jsonl"
            began = cpu()
            write_queue(queue, [Entry(run.run_id, 1.0, run=run.to_dict()) for run in planned])
            wrote = cpu() - began
            found = at_work(folder, queue, planned, workers, record_text(planned[0]))
        for name, value in {
            "the queue and its places, written": f"{wrote:.1f} s",
            "a worker's start, to its first run": f"{1e3 * found.start:.0f} ms",
            "a run, start and end included": f"{1e3 * found.seconds / found.runs:.2f} ms",
            "operations on files a run": f"{found.operations / found.runs:.1f}",
            "runs of a worker that was looked at": f"{found.runs / SAMPLE:.0f}",
        }.items():
            rows.setdefault(name, []).append(value)
        print(f"{workers:,} workers, {runs:,} runs:", *(f"{name} {values[-1]};" for name, values in rows.items()))
    for name, values in rows.items():
        table.add_row(name, *values)
    return table


def cpu() -> float:
    """Return this process's CPU seconds."""
    return time.process_time()


def timed(command: list[str]) -> float:
    """Return the CPU seconds of a command and its children."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
