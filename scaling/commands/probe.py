"""`scaling probe`: measure a device, so that plans can say how long they take."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING

import click

from scaling.commands.options import OVERRIDES, answer, json_option, only_overrides, overrides
from scaling.compose.roots import key_of
from scaling.errors import UserError

if TYPE_CHECKING:
    from scaling.forecast.speed import Speed

FOLLOWED = ("launcher", "sweep", "results", "hydra")  # a sweep may have settings of the launcher
EPILOG = """\b
Examples:
  scaling probe
  scaling probe launcher=slurm launcher.partition=gpu
"""


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda (of this machine).")
@json_option
def probe(arguments: tuple[str, ...], device: str, json_path: str | None) -> None:
    """Measure the speed of a device for forecasts, with the real training loop on a few shapes.

    The result is kept for each device, and for each partition of a cluster, in the user's cache folder.
    """
    with _progress():
        speed = _measure(_of_the_launcher(only_overrides(arguments)), device)
    answer(dataclasses.asdict(speed), json_path, *words_of(speed))


def _of_the_launcher(arguments: list[str]) -> list[str]:
    """Return the overrides; UserError for one that a probe, which trains runs of its own, would ignore."""
    for argument in arguments:
        if key_of(argument).split(".")[0].split("/")[0] not in FOLLOWED:
            raise UserError(
                f"found {argument}, which a probe does not follow: it measures a device with runs of its own; wanted "
                f"keys of the launcher alone, or --device; drop it"
            )
    return arguments


def words_of(speed: Speed) -> list[str]:
    """Return lines on what a run and a small step cost.

    Of a step only the sum is shown: what it costs once and what each of its layers costs cannot be told apart.
    """
    from scaling.forecast.work import model_work
    from scaling.models.mlp import MLP

    small = model_work(MLP(width=64, depth=2), (16,), 10, 128)
    lines = [f"{speed.device}: {speed.run:.2f} s per run besides its steps; then by precision:"]
    for precision, costs in speed.costs.items():
        large = f" (large products {1e-9 * speed.products[precision]:,.0f})" if precision in speed.products else ""
        lines.append(
            f"  {precision}: {small.seconds(costs) * 1e6:.0f} us a step of mlp 64 x 2 at batch 128, "
            f"{1e-9 / costs.flop if costs.flop else inf:,.0f} GFLOP/s{large}"
        )
    return lines


@contextmanager
def _progress() -> Iterator[None]:
    """Show on stderr what is being timed."""
    log = logging.getLogger("scaling.forecast.probe")
    handler = logging.StreamHandler()
    log.addHandler(handler)
    level, log.propagate = log.level, False
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        log.propagate = True


def _measure(arguments: list[str], device: str) -> Speed:
    from pathlib import Path

    from omegaconf import OmegaConf

    from scaling.compose.session import compose, session
    from scaling.config import read_group
    from scaling.dispatch.launcher import launcher_of
    from scaling.folders import SweepFolder

    with session() as loader:
        cfg = compose(loader, arguments)
    settings = read_group("launcher", OmegaConf.to_container(cfg.launcher))
    return launcher_of(settings).probe(SweepFolder(Path(cfg.results), "probe"), device)
