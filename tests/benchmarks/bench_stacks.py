"""Sweeps of small runs, the whole command: stacked, eager, and by a plain loop, one run after the other.

Of the plain loop every eighth run is timed, in this process and in seconds of CPU; where Hydra's joblib launcher is
installed, it trains all of them, on as many workers as ours. Run: python -m tests.benchmarks.bench_stacks
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.table import Table

from scaling.compose.session import session
from scaling.plan.expand import expand
from tests.benchmarks import plain
from tests.benchmarks.bench_dispatch import WORKERS, timed

RUNS = plain.RATES * plain.SEEDS
EACH = 8  # of how many runs the plain loop trains one


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
    took = {
        "stacked": run([*ours, "train.engine=stacked", f"results={folder}/stacked"]),
        "eager": run([*ours, f"results={folder}/eager"]),
    }
    seconds = EACH * sum(plain.train(plain.planned(number)) for number in range(0, RUNS, EACH))
    took["a plain loop, one run after the other"] = (seconds, seconds)
    if find_spec("hydra_plugins") and find_spec("hydra_plugins.hydra_joblib_launcher"):
        command = [sys.executable, "-m", "tests.benchmarks.plain", "-m", f"+number=range({RUNS})"]
        command += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}", f"hydra.sweep.dir={folder}/joblib"]
        took["a plain loop, Hydra's joblib launcher"] = run(command)
    return compared(f"{RUNS} runs of {plain.STEPS} steps, width {plain.WIDTH}, batch {plain.BATCH}", took)


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
