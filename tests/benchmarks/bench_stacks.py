"""Sweeps of small runs, the whole command: stacked, eager, and by a plain loop, one run after the other.

Of the plain loop every eighth run is timed, in this process and in seconds of CPU (on a GPU: of the wall); Hydra's
joblib launcher, where it is installed, trains all of them on as many workers as ours. On a GPU the same sweeps are
trained on the CPU cores beside it as well, and the quickstart not eager, which takes minutes.
Run: python -m tests.benchmarks.bench_stacks [cpu|cuda]
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console

from scaling.compose.session import session
from scaling.devices import cores
from scaling.plan.expand import expand
from tests.benchmarks import plain
from tests.benchmarks.bench_dispatch import WORKERS, timed

OURS = [sys.executable, "-m", "scaling"]
RUNS = plain.RATES * plain.SEEDS
ENGINES = ("stacked", "eager")
EACH = 8  # of how many runs the plain loop trains one


Row = tuple[str, tuple[float, float]]  # what was timed, and its seconds of the wall and of CPU


def main() -> None:
    """Print both tables, a row when it is timed."""
    device = sys.argv[1] if len(sys.argv) > 1 else "cpu"
    console = Console(width=110)
    with tempfile.TemporaryDirectory(prefix="scaling-bench-") as folder:
        small = f"{RUNS} runs of {plain.STEPS} steps, width {plain.WIDTH}, batch {plain.BATCH}"
        show(small, many_small(Path(folder), device), console)
        show("quickstart", quickstart(Path(folder), device), console)


def ways(
    command: list[str], device: str, folder: Path, *, workers: int, engines: Sequence[str] = ENGINES
) -> Iterator[Row]:
    """Time a command of ours on the device, stacked or eager, and on a GPU stacked on the CPU cores beside it."""
    here = [f"train.device={device}", *([f"launcher.workers={workers}"] if device == "cpu" else [])]
    for engine in engines:
        yield engine, run([*command, *here, f"train.engine={engine}", f"results={folder}/{engine}"])
    if device == "cuda":
        beside = ["train.device=cpu", "train.engine=stacked", f"launcher.workers={cores()}", f"results={folder}/beside"]
        yield f"stacked on {cores()} CPU cores", run([*command, *beside])


def many_small(folder: Path, device: str) -> Iterator[Row]:
    """Time 64 runs: 16 rates, 4 seeds, width 32, batch of 32, 400 steps."""
    keys = ["model=mlp", "data=teacher", "optim=adamw", "schedule=cosine"]
    keys += [f"model.width={plain.WIDTH}", "model.depth=2", f"train.batch={plain.BATCH}", f"train.steps={plain.STEPS}"]
    keys += [f"optim.lr={','.join(plain.rates())}", f"seed=range({plain.SEEDS})"]
    yield from ways([*OURS, "-m", *keys], device, folder / "small", workers=WORKERS)
    seconds = EACH * sum(plain.train(plain.planned(number, device)) for number in range(0, RUNS, EACH))
    yield "a plain loop, one run after the other", (seconds, seconds)
    if device == "cpu" and find_spec("hydra_plugins") and find_spec("hydra_plugins.hydra_joblib_launcher"):
        command = [sys.executable, "-m", "tests.benchmarks.plain", "-m", f"+number=range({RUNS})"]
        command += ["hydra/launcher=joblib", f"hydra.launcher.n_jobs={WORKERS}", f"hydra.sweep.dir={folder}/joblib"]
        yield "a plain loop, Hydra's joblib launcher", run(command)


def quickstart(folder: Path, device: str) -> Iterator[Row]:
    """Time sweep=quickstart; of the plain loop some steps of each run."""
    engines, command = ENGINES if device == "cpu" else ENGINES[:1], [*OURS, "run", "sweep=quickstart"]
    yield from ways(command, device, folder / "quickstart", workers=WORKERS, engines=engines)
    with session() as loader:
        runs = expand(loader, ["sweep=quickstart", f"train.device={device}"]).runs
    first = {(each.config.model, each.quantities.steps): each for each in runs if each.config.seed == 0}
    seconds = 3 * sum(map(plain.train, first.values()))  # three seeds of each
    yield f"a plain loop, one of {len(runs)} runs after the other", (seconds, seconds)


def run(command: list[str]) -> tuple[float, float]:
    """Run a command and return its seconds, of the wall and of CPU; end with what it says if it fails."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        return timed(lambda: subprocess.run(command, check=True, capture_output=True, text=True, env=environment))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}\n{error.stderr[-2000:]}")


def show(title: str, rows: Iterable[Row], console: Console) -> None:
    """Print seconds of the wall and of CPU, and how many times those of the first row."""
    console.print(title)
    first: tuple[float, float] | None = None
    for name, (wall, cpu) in rows:
        first = first or (wall, cpu)
        times = f"{wall / first[0]:6.1f}x, {cpu / first[1]:6.1f}x of CPU"
        console.print(f"{name:45} {wall:7.1f} s, {cpu:7.1f} s of CPU, {times}")


if __name__ == "__main__":
    main()
