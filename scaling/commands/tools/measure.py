"""`scaling measure`: what the models of a sweep cost at inference."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.options import OVERRIDES, answer, json_option, only_overrides, overrides
from scaling.errors import printable
from scaling.folders import exists
from scaling.plan.planned import as_overrides

if TYPE_CHECKING:
    from scaling.forecast.inference import Efficiency
    from scaling.plan.plan import Plan

EPILOG = """\b
Examples:
  scaling measure sweep=paper/efficiency
  scaling measure model=bottleneck data=cifar10 model.width=256,512 train.epochs=1 --device cpu
  scaling measure sweep=quickstart model.width=32,128,512 train.steps=100 seed=0 --activations 16
"""


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@json_option
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", default=1, show_default=True, help="torch threads.")
@click.option("--activations", type=click.IntRange(1), metavar="STEPS", help="Instead, train this many steps; report "
              "how large each layer's outputs are and how far they moved (the coordinate check of muP).")  # fmt: skip
def measure(
    arguments: tuple[str, ...], json_path: str | None, device: str, threads: int, activations: int | None
) -> None:
    """Time the models of a sweep at inference: latency of one example, throughput at the best batch, memory, FLOPs.

    Nothing is trained and no data is opened. The rows go to results/NAME/efficiency.csv; `scaling report` shows them.
    With --activations they go to activations.csv. A plan that the folder has already stays as it is.
    """
    from scaling.devices import thread_environment

    os.environ.update(thread_environment(threads))  # before torch starts: it reads them once
    from scaling.commands.plan_forecast import forecast_plan
    from scaling.compose.session import session
    from scaling.folders import write_atomically
    from scaling.forecast.inference import measure as measure_runs
    from scaling.plan.expand import expand
    from scaling.plan.files import write_plan
    from scaling.plan.rows import to_csv

    with session() as loader:
        plan = expand(loader, only_overrides(arguments))
    say = None if json_path == "-" else _print_efficiency
    if activations is None:
        name, rows = "efficiency", list(map(asdict, measure_runs(plan.runs, device=device, threads=threads, say=say)))
    else:
        name, rows = "activations", _activations(plan, steps=activations, device=device, quiet=json_path == "-")
    if not exists(plan.folder.plan):  # that of a sweep names the runs it has trained
        write_plan(plan, forecast_plan(plan).forecasts.rows())
    path = plan.folder.path / f"{name}.csv"
    write_atomically(path, to_csv(rows))
    answer({"models" if name == "efficiency" else "layers": rows}, json_path, f"written: {path}")


def _activations(plan: Plan, *, steps: int, device: str, quiet: bool) -> list[dict[str, Any]]:
    from scaling.forecast.activations import activation_scales

    rows: list[dict[str, Any]] = []
    for run in plan.runs:
        found = activation_scales(run, steps=steps, device=device)
        rows += map(asdict, found)
        last = {one.layer: one for one in found}
        if not quiet:
            moved = ", ".join(f"{layer} {one.change:.3g}" for layer, one in last.items())
            label = printable(" ".join(as_overrides(run.overrides)) or run.run_id)
            click.echo(f"{label}: outputs moved by {moved} (rms)")
    return rows


def _print_efficiency(one: Efficiency) -> None:
    name = f"{one.family} depth {one.depth} width {one.width}"
    click.echo(
        f"{name:<28} {one.N_total / 1e6:8.2f} M parameters {one.forward_flops / 1e6:9.2f} MFLOPs "
        f"{one.latency_ms:8.3f} ms {one.throughput:12,.0f} examples/s at batch {one.best_batch:,} "
        f"{one.memory_bytes / 1e6:8.1f} MB"
    )
