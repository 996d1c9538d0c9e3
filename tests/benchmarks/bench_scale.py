"""A hundred thousand settled runs and a thousand workers, on real files: CPU seconds at three sizes, and files opened.

Run: python -m tests.benchmarks.bench_scale [RUNS] [WORKERS]
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scaling.compose.session import session
from scaling.config import plain
from scaling.dispatch.claims.claim import acquire
from scaling.dispatch.claims.queue_walk import Walk
from scaling.dispatch.queue import Entry, LazyQueue, write_queue
from scaling.dispatch.states import index
from scaling.dispatch.states.index import Index
from scaling.dispatch.states.settled import note_settled
from scaling.folders import SweepFolder
from scaling.plan.expand import expand
from scaling.plan.planned import PlannedRun
from scaling.record import Point, Record, how

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
    with tempfile.TemporaryDirectory(prefix="scaling-bench-") as place, chdir(place):
        console.print(at_work(plan(runs), workers))


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
        write_record(folder, run)


def write_record(folder: SweepFolder, run: PlannedRun) -> None:
    """Write a record as long as a real one, and an attempt."""
    quantities, files = run.quantities, folder.run(run.run_id)
    reached = (quantities.steps, quantities.D, quantities.C, quantities.C_counted, 1.0)
    point = Point(*reached, 1.0, 0.01, 0.5, 0.01, 1.0, 0.5, 1.0, 1e-3, True)
    facts = how(
        seconds=1.0,
        examples_per_second=1e3,
        device="CPU",
        precision="fp32",
        attempts=1,
        forecast_seconds=1.0,
    )
    counts = {**quantities.counts.columns(), **quantities.columns()}
    data = {"metric": "cross_entropy", "has_error": True, "chance": 2.3, "chance_se": 0.0, "n_test": 100, "n_val": 100}
    record = Record(run.run_id, "finished", (), plain(run.config), counts, data, (point,), how=facts)
    files.path.mkdir(parents=True, exist_ok=True)
    files.record.write_text(json.dumps(record.to_dict(), indent=1) + "\n")
    files.attempts.write_text('{"cause": "finished", "seconds": 1.0, "gpu_seconds": 1.0, "step": 10}\n')


def at_work(planned: tuple[SweepFolder, tuple[PlannedRun, ...]], workers: int) -> Table:
    """Let a thousand workers, one after the other in this process, share an open queue with their claims and records.

    Each reads the queue's places and the index, takes runs with real claims and writes records; what a run costs beside
    its training is what is told, with the share of it that only such a simulation has (writing the record's text).
    """
    folder, runs = planned
    queue = folder.path / "jobs" / "1" / "queue.jsonl"
    entries = [Entry(run.run_id, 1.0, run=run.to_dict()) for run in runs]
    began = cpu()
    write_queue(queue, entries)
    wrote = cpu() - began
    opened: list[str] = []
    sys.addaudithook(lambda event, facts: opened.append(str(facts[0])) if event == "open" else None)
    began, looks = cpu(), 0
    started = [Started(folder, queue, place) for place in range(workers)]
    start_cpu = cpu() - began
    by_id = {run.run_id: run for run in runs}
    began, training, done = cpu(), 0.0, 0
    while done < len(runs):
        for worker in started:
            taken = worker.take()
            looks += worker.looks
            if taken is None:
                continue
            apart = cpu()
            write_record(folder, by_id[taken])
            training += cpu() - apart
            worker.settle(taken)
            done += 1
    spent = cpu() - began - training
    table = Table(f"{workers:,} workers, {len(runs):,} runs", "")
    table.add_row("the queue and its places, written", f"{wrote:.1f} s")
    table.add_row("a worker's start (places, index)", f"{1e3 * start_cpu / workers:.1f} ms")
    table.add_row("a run's overhead: look, claim, index, release", f"{1e3 * spent / len(runs):.2f} ms")
    table.add_row("looks at a run, in the mean", f"{looks / len(runs):.2f}")
    table.add_row("files opened a run", f"{len(opened) / len(runs):.1f}")
    return table


class Started:
    """One worker, between its runs."""

    def __init__(self, folder: SweepFolder, queue: Path, place: int) -> None:
        self.folder, self.queue, self.looks = folder, LazyQueue(queue), 0
        self.index, self.news = Index(folder.results), Index(folder.results)
        self.walk = Walk(self.queue.run_ids, self.news, place=place)
        self.round: Iterator[str] = self.walk.round()
        self.held = None

    def take(self) -> str | None:
        """Claim the next run that is free."""
        self.looks = 0
        for run_id in self.round:
            self.looks += 1
            files = self.folder.run(run_id)
            if self.queue.get(run_id) is None or files.record.exists():
                continue
            self.held = acquire(files.claim, worker="bench")
            if self.held is not None:
                facts = {"token": self.held.claim.token, "since": 0.0, "gpus": 0, "C": 1.0, "seconds": 1.0}
                self.index.append(index.CLAIMED, run_id, facts)
                return run_id
        return None

    def settle(self, run_id: str) -> None:
        """Note the record and let go."""
        assert self.held is not None, "it was taken"
        note_settled(self.folder.run(run_id), self.index)
        self.index.append(index.DROPPED, run_id, {"token": self.held.claim.token})
        self.held.release()


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
