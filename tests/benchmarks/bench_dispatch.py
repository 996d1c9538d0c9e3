"""Dispatching: 100 one-step runs here and on a real SLURM, the cost of a claim, and of the status of 10,000 runs.

Run: python -m tests.benchmarks.bench_dispatch   (SLURM as root, where it is installed: tests/slurm/cluster.sh install)
"""

from __future__ import annotations

import csv
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scaling.dispatch.claims.claim import acquire
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.order import order_of
from scaling.dispatch.slurm import scheduler
from scaling.folders import SweepFolder
from tests.benchmarks.trivial import OVERRIDES, planned
from tests.dispatch.stand_in import stand_in_record

RUNS, WORKERS = 100, 2
CLUSTER = Path(__file__).parents[1] / "slurm" / "cluster.sh"
STAND_IN = "tests.dispatch.stand_in:train"


def main() -> None:
    """Time everything and print it as ratios."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="scaling-bench-") as folder:
        console.print(here(Path(folder)))
        console.print(files(Path(folder)))
        if os.geteuid() == 0 and shutil.which("slurmctld"):
            with cluster(Path(folder) / "slurm"):
                console.print(slurm(Path(folder)))
        else:
            console.print("SLURM is not installed here (or this is not root): left out")


def here(folder: Path) -> Table:
    """Compare `scaling run` with Hydra's joblib launcher: the same runs, as many workers."""
    seeds = f"seed=range({RUNS})"
    ours = [sys.executable, "-m", "scaling", "-m", *OVERRIDES, seeds, f"launcher.workers={WORKERS}"]
    hydras = [sys.executable, "-m", "tests.benchmarks.joblib_app", "-m", f"+{seeds}", f"+results={folder}"]
    hydras += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}", f"hydra.sweep.dir={folder}/hydra"]
    table = Table("", "s", "s of CPU", title=f"{RUNS} one-step runs, {WORKERS} workers", title_justify="left")
    took = []
    for name, command in (("scaling run", [*ours, f"results={folder}"]), ("Hydra, joblib launcher", hydras)):
        took.append(timed(lambda command=command: subprocess.run(command, check=True, capture_output=True)))
        table.add_row(name, *(f"{seconds:.1f}" for seconds in took[-1]))
    table.add_row("ratio", *(f"{hydra / mine:.1f}x" for mine, hydra in zip(*took, strict=True)))
    return table


def files(folder: Path) -> Table:
    """Time a claim, and the status of 10,000 settled runs in a process of its own."""
    table = Table("", "", title="Files", title_justify="left")
    count = 1000
    wall, _ = timed(lambda: [acquire(folder / "claims" / str(n) / "claim.json").release() for n in range(count)])
    table.add_row("a claim, made and released", f"{wall / count * 1e3:.2f} ms")
    for runs in (1_000, 10_000):
        sweep = settled_sweep(folder / f"status-{runs}", runs)
        command = [sys.executable, "-m", "scaling", "status", str(sweep.path)]
        _, cpu = timed(lambda command=command: subprocess.run(command, check=True, capture_output=True))
        table.add_row(f"scaling status, {runs:,} runs", f"{cpu:.2f} s of CPU")
    return table


def settled_sweep(folder: Path, count: int) -> SweepFolder:
    """Write the files of a sweep whose runs are settled."""
    sweep = SweepFolder(folder, "sweep")
    sweep.path.mkdir(parents=True)
    with sweep.plan.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["run_id", "overrides", "C"])
        for number in range(count):
            run_id = f"{number:012x}"
            writer.writerow([run_id, f"seed={number}", 1e6])
            record = stand_in_record(run_id)
            sweep.run(run_id).path.mkdir(parents=True)
            sweep.run(run_id).record.write_text(json.dumps({**record, "points": record["points"] * 10}, indent=1))
    return sweep


def slurm(folder: Path) -> Table:
    """Compare our jobs with one submitit array of 100 jobs, on the same cluster."""
    from scaling.dispatch.slurm.submit import submit

    table = Table("", "s", title=f"{RUNS} trivial runs through SLURM (4 nodes on one machine)", title_justify="left")
    runs = stand_ins()
    launcher = Slurm(jobs=4, cpus=1, min_memory_gb=0.5, beat_seconds=1.0)

    def ours() -> None:
        sweep = SweepFolder(folder / "slurm-results", "bench")
        submit(replace(order_of(sweep, runs), train=STAND_IN), launcher)
        while not all(sweep.run(run.run_id).record.exists() for run in runs):
            time.sleep(0.05)

    seconds, _ = timed(ours)
    while scheduler.all_jobs():
        time.sleep(0.2)
    plain, _ = timed(lambda: submitit_array(folder / "array"))
    table.add_row("scaling run launcher=slurm (4 jobs)", f"{seconds:.1f}")
    table.add_row("submitit, an array of 100 jobs", f"{plain:.1f}")
    table.caption = f"ratio {plain / seconds:.1f}x"
    return table


def stand_ins() -> list:
    """Plan runs that train nothing, for what surrounds them is what is measured."""
    from tests.dispatch import stand_in

    return [stand_in.planned(seed) for seed in range(RUNS)]


def submitit_array(folder: Path) -> None:
    """Run a trivial function in an array of jobs, as submitit's documentation shows."""
    import submitit

    executor = submitit.SlurmExecutor(folder=folder)
    executor.update_parameters(time=5, mem="200M", array_parallelism=RUNS, use_srun=False)
    for job in executor.map_array(planned_id, range(RUNS)):
        while not job.paths.result_pickle.exists():
            time.sleep(0.02)


def planned_id(seed: int) -> str:
    """Return the id of a run: work enough for a job that does nothing."""
    return planned(seed).run_id


@contextmanager
def cluster(folder: Path) -> Iterator[None]:
    """Start a SLURM of our own, and stop it."""
    environment = {**os.environ, "SLURM_LOCAL_DIR": str(folder)}
    try:
        subprocess.run(["bash", CLUSTER, "start"], env=environment, check=True, capture_output=True)
        os.environ["SLURM_CONF"] = str(folder / "etc" / "slurm.conf")
        yield
    finally:
        subprocess.run(["bash", CLUSTER, "stop"], env=environment, check=True, capture_output=True)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Return wall time and CPU time (of this process and its children), in seconds."""
    before, begun = used(), time.monotonic()
    work()
    return time.monotonic() - begun, used() - before


def used() -> float:
    """Return the CPU time so far, that of ended children included."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(usage.ru_utime + usage.ru_stime for usage in map(resource.getrusage, kinds))


if __name__ == "__main__":
    main()
