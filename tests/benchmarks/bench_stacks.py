"""Sweeps of small runs, the whole command: stacked, eager, and by a plain loop, one after the other or under joblib.

Both of two cores are used by all but the one plain loop after the other. Run: python -m tests.benchmarks.bench_stacks
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scaling.compose.session import session
from scaling.plan.expand import expand
from tests.benchmarks import plain
from tests.benchmarks.bench_dispatch import WORKERS, timed

RUNS = plain.RATES * plain.SEEDS


def main() -> None:
    """Print both tables."""
    console = Console()
    with tempfile.TemporaryDirectory(prefix="scaling-bench-") as folder:
        console.print(many_small(Path(folder)))
        console.print(quickstart(Path(folder)))


def many_small(folder: Path) -> Table:
    """Time 64 runs: 16 rates, 4 seeds, width 32, batch of 32, 400 steps."""
    keys = [
        "model=mlp",
        "data=teacher",
        "optim=adamw",
        "schedule=cosine",
        f"model.width={plain.WIDTH}",
        "model.depth=2",
    ]
    keys += [f"train.batch={plain.BATCH}", f"train.steps={plain.STEPS}", "train.device=cpu"]
    keys += [f"optim.lr={','.join(plain.rates())}", f"seed=range({plain.SEEDS})", f"launcher.workers={WORKERS}"]
    ours = [sys.executable, "-m", "scaling", "-m", *keys]
    loop = [sys.executable, "-m", "tests.benchmarks.plain"]
    joblib = [*loop, "-m", f"+number=range({RUNS})", "hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}"]
    commands = {
        "stacked": [*ours, "train.engine=stacked", f"results={folder}/stacked"],
        "eager": [*ours, f"results={folder}/eager"],
        "a plain loop, one run after the other": [*loop, f"hydra.run.dir={folder}/plain"],
        "a plain loop, Hydra's joblib launcher": [*joblib, f"hydra.sweep.dir={folder}/joblib"],
    }
    title = f"{RUNS} runs of {plain.STEPS} steps, width {plain.WIDTH}, batch {plain.BATCH}"
    return compared(title, {name: run(command) for name, command in commands.items()})


def quickstart(folder: Path) -> Table:
    """Time sweep=quickstart; of the plain loop some steps of each run, which is told in seconds of CPU."""
    ours = [
        sys.executable,
        "-m",
        "scaling",
        "run",
        "sweep=quickstart",
        "train.device=cpu",
        f"launcher.workers={WORKERS}",
    ]
    took = {
        engine: run([*ours, f"train.engine={engine}", f"results={folder}/quickstart-{engine}"])
        for engine in ("stacked", "eager")
    }
    with session() as loader:
        runs = expand(loader, ["sweep=quickstart"]).runs
    first = {(each.config.model, each.quantities.steps): each for each in runs if each.config.seed == 0}
    seconds = 3 * sum(map(plain.train, first.values()))  # three seeds of each
    took["a plain loop, one run after the other"] = (seconds, seconds)
    return compared(f"quickstart, {len(runs)} runs", took)


def run(command: list[str]) -> tuple[float, float]:
    """Run a command and return its seconds, of the wall and of CPU."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return timed(lambda: subprocess.run(command, check=True, capture_output=True, env=environment))


def compared(title: str, took: dict[str, tuple[float, float]]) -> Table:
    """Return seconds of the wall and of CPU, and how many times those of the first."""
    table = Table("", "s", "s of CPU", "x", "x of CPU", title=title, title_justify="left")
    first = next(iter(took.values()))
    for name, seconds in took.items():
        times = (f"{each / mine:.1f}" for each, mine in zip(seconds, first, strict=True))
        table.add_row(name, *(f"{each:.1f}" for each in seconds), *times)
    return table


if __name__ == "__main__":
    main()
