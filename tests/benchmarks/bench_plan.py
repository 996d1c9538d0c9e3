"""Planning: 10,000 runs against composing every cell with Hydra; many choices of groups against Hydra's own compose.

Run: python -m tests.benchmarks.bench_plan
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

from hydra.core.config_loader import ConfigLoader
from rich.console import Console
from rich.table import Table

from scaling.compose.session import compose, session
from scaling.plan.expand import expand

CELLS = 10_000
COMPOSED = 50  # cells composed one by one; the rest would take as long each
AXES = ("model.width=range(4,404,4)", "train.budget=1e9,2e9,4e9,8e9", f"seed=range({CELLS // 400})")
GROUPS = {  # name: overrides that choose among many groups
    "sweep=paper/from_scratch": ["sweep=paper/from_scratch"],
    "10,000 runs of 108 choices": [
        "model=mlp,bottleneck",
        "optim=adamw,sgd,lion",
        "schedule=constant,cosine,wsd",
        "data=teacher,mnist1d,digits",
        "augment=none,mixup",
        "model.width=range(4,100,4)",
        "model.depth=2",
        "train.budget=1e9,2e9,4e9,8e9",
    ],
}


def main() -> None:
    """Time all of it and print the ratios."""
    console = Console()
    with session() as loader:
        console.print(cells(loader))
        console.print(choices(loader))


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds of some work, and what it returns."""
    begun = time.process_time()
    found = work()
    return time.process_time() - begun, found


def cells(loader: ConfigLoader) -> Table:
    """Plan 10,000 cells of plain keys, and compose some of them as Hydra's own sweeper does."""
    table = Table("", "ms of CPU a run", f"s for {CELLS:,}", "ratio", title="Plain keys", title_justify="left")
    took, plan = cpu(lambda: expand(loader, AXES))
    ours = took / CELLS
    overrides = [[f"model.width={width}", "train.budget=1e9", "seed=0"] for width in range(4, 4 + COMPOSED)]
    hydras = cpu(lambda: [compose(loader, line) for line in overrides])[0] / COMPOSED
    table.add_row(f"scaling plan ({len(plan.runs):,} runs, counted)", f"{ours * 1e3:.2f}", f"{ours * CELLS:.1f}", "")
    table.add_row("Hydra, composing each cell", f"{hydras * 1e3:.2f}", f"{hydras * CELLS:.1f}", f"{hydras / ours:.0f}")
    return table


def choices(loader: ConfigLoader) -> Table:
    """Plan sweeps over groups with our composer, and with Hydra's public compose in its place."""

    def public(loader: ConfigLoader, files: Any, name: str, overrides: Sequence[str]) -> Any:
        return compose(loader, overrides)

    table = Table("", "runs", "s of CPU", "by Hydra's compose", "ratio", title="Groups", title_justify="left")
    for name, overrides in GROUPS.items():
        ours, plan = min((cpu(lambda o=overrides: expand(loader, o)) for _ in range(2)), key=lambda pair: pair[0])
        with patch("scaling.compose.groups.compose_without_hydra", public):
            hydras, _ = min((cpu(lambda o=overrides: expand(loader, o)) for _ in range(2)), key=lambda pair: pair[0])
        table.add_row(name, f"{len(plan.runs):,}", f"{ours:.2f}", f"{hydras:.2f}", f"{hydras / ours:.1f}")
    return table


if __name__ == "__main__":
    main()
