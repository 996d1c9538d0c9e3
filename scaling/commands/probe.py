"""`scaling probe`: measure a device, so that plans can say how long they take."""

from __future__ import annotations

import dataclasses
import os
from typing import TYPE_CHECKING

import click

from scaling.commands.options import OVERRIDES, json_option, only_overrides, overrides, write_json
from scaling.errors import UserError

if TYPE_CHECKING:
    from scaling.forecast.speed import Speed

EPILOG = """\b
Examples:
  scaling probe
  scaling probe launcher=slurm launcher.partition=gpu
"""


@click.command(epilog=EPILOG, context_settings=OVERRIDES)
@overrides
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda (of this machine).")
@json_option
def probe(arguments: tuple[str, ...], multirun: bool, device: str, json_path: str | None) -> None:
    """Measure a device's speed for the forecast: the real training loop on a few shapes, some seconds in all.

    What is measured is kept for each device, and for each partition of a cluster, in the user's cache folder.
    """
    speed = _measure(only_overrides(arguments), device)
    if json_path is not None:
        write_json(dataclasses.asdict(speed), json_path)
    if json_path != "-":
        click.echo(f"{speed.device}: {speed.run:.2f} s a run before it trains, then by precision:")
        for precision, costs in speed.costs.items():
            rate = f"{1e-9 / costs.flop:,.0f} GFLOP/s" if costs.flop else "products too fast to tell from the rest"
            click.echo(f"  {precision}: {costs.step * 1e6:.0f} us a step, {costs.layer * 1e6:.0f} us a layer, {rate}")


def _measure(arguments: list[str], device: str) -> Speed:
    from pathlib import Path

    from omegaconf import OmegaConf

    from scaling.compose.session import compose, session
    from scaling.config import read_group
    from scaling.devices import thread_environment
    from scaling.dispatch.launchers import Slurm
    from scaling.folders import SweepFolder
    from scaling.forecast.speed import keep_speed

    with session() as loader:
        cfg = compose(loader, arguments)
    launcher = read_group("launcher", OmegaConf.to_container(cfg.launcher))
    if isinstance(launcher, Slurm):
        if device != "auto":
            raise UserError(f"found --device {device} with launcher=slurm; wanted none: a job takes what its node has")
        from scaling.dispatch.slurm.probe import probe_cluster

        speed = probe_cluster(SweepFolder(Path(cfg.results), "probe"), launcher)
        keep_speed(speed, partition=launcher.speed_name)
        return speed
    os.environ.update(thread_environment(launcher.threads))  # before torch starts: it reads them once
    from scaling.forecast.probe import probe_speed as measure

    speed = measure(device, threads=launcher.threads)
    keep_speed(speed)
    return speed
