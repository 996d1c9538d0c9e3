"""What the start of a command costs, imports and all: s of CPU of whole processes, beside what one would write instead.

Run: python -m tests.benchmarks.bench_start
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for both: threads that wait for one another count as time, too

import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from tests.benchmarks.bench_dispatch import settled_sweep, timed

TURNS = 3  # of which the fastest counts
RUNS = 1_000
COUNT = """
import collections, json, pathlib, sys
import pandas
rows = [json.loads(path.read_text()) for path in pathlib.Path(sys.argv[1]).glob("runs/*/record.json")]
print(pandas.DataFrame(rows)["status"].value_counts())
"""
POINTS = """
import numpy as np, pandas as pd
rng = np.random.default_rng(0)
N, D = 10 ** rng.uniform(6, 9, 240), 10 ** rng.uniform(8, 11, 240)
loss = (1.7 + 400 * N**-.34 + 900 * D**-.28) * np.exp(.01 * rng.normal(size=240))
table = pd.DataFrame({"N": N, "D": D, "loss": loss})
"""
OURS = f"""{POINTS}
from analysis import fit
print(fit(table, resamples=0).params)
"""
SCIPY = f"""{POINTS}
from scipy.optimize import curve_fit
law = lambda ND, E, A, B, a, b: np.log(E + A * ND[0] ** -a + B * ND[1] ** -b)
print(curve_fit(law, (N, D), np.log(table.loss), p0=(1, 300, 800, .3, .3), maxfev=10_000)[0])
"""


def cpu(*command: str) -> float:
    """Return the s of CPU of a process, the best of some."""
    whole = [sys.executable, *command]
    return min(timed(lambda: subprocess.run(whole, check=True, capture_output=True))[1] for _ in range(TURNS))


def main() -> None:
    """Time both sides and print the ratios."""
    with TemporaryDirectory(prefix="scaling-bench-") as folder:
        sweep = settled_sweep(Path(folder), RUNS)
        pairs = [
            (("scaling --help", "-m", "scaling", "--help"), ("import torch", "-c", "import torch")),
            (
                (f"scaling status, {RUNS:,} runs", "-m", "scaling", "status", str(sweep.path)),
                ("pandas, every record into a frame", "-c", COUNT, folder),
            ),
            (
                ("a certified fit of 240 points", "-c", OURS),
                ("SciPy's curve_fit of them, from one start", "-c", SCIPY),
            ),
        ]
        table = Table("here", "s of CPU", "instead", "s of CPU", "ratio")
        for (ours, *our_command), (theirs, *their_command) in pairs:
            mine, other = cpu(*our_command), cpu(*their_command)
            table.add_row(ours, f"{mine:.2f}", theirs, f"{other:.2f}", f"{other / mine:.1f}x")
    Console().print(table)


if __name__ == "__main__":
    main()
