"""Planning 10,000 runs: ours against composing every cell with Hydra, as its own sweeper does.

Run: python -m tests.benchmarks.bench_plan
"""

from __future__ import annotations

import time

from rich.console import Console
from rich.table import Table

from scaling.compose.session import compose, session
from scaling.plan.expand import expand

CELLS = 10_000
COMPOSED = 50  # cells composed one by one; the rest would take as long each


def main() -> None:
    """Time both and print the ratio."""
    axes = ["model.width=range(4,404,4)", "train.budget=1e9,2e9,4e9,8e9", f"seed=range({CELLS // 400})"]
    with session() as loader:
        begun = time.process_time()
        runs = len(expand(loader, axes).runs)
        ours = (time.process_time() - begun) / CELLS
        begun = time.process_time()
        for width in range(4, 4 + COMPOSED):
            compose(loader, [f"model.width={width}", "train.budget=1e9", "seed=0"])
        hydras = (time.process_time() - begun) / COMPOSED
    table = Table("", "ms of CPU a run", f"s for {CELLS:,}", title="Planning", title_justify="left")
    table.add_row(f"scaling plan ({runs:,} runs, counted and identified)", f"{ours * 1e3:.2f}", f"{ours * CELLS:.1f}")
    table.add_row("Hydra, composing each cell", f"{hydras * 1e3:.2f}", f"{hydras * CELLS:.1f}")
    Console().print(table)
    Console().print(f"ratio {hydras / ours:.0f}x")


if __name__ == "__main__":
    main()
