"""`scaling probe`: measure this device, so that plans can say how long they take."""

from __future__ import annotations

import dataclasses
import os

import click

from scaling.commands.options import json_option, write_json


@click.command(epilog="\b\nExample:\n  scaling probe")
@click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda.")
@click.option("--threads", default=1, show_default=True, help="torch threads, as launcher.threads will have them.")
@json_option
def probe(device: str, threads: int, json_path: str | None) -> None:
    """Measure this device's speed for the forecast: the real training loop on a few shapes, some seconds in all.

    What is measured is kept for each device in the user's cache folder.
    """
    from scaling.dispatch.devices import thread_environment

    os.environ.update(thread_environment(threads))  # before torch starts: it reads them once
    from scaling.probe import probe as measure
    from scaling.speed import keep_speed

    speed = measure(device, threads=threads)
    keep_speed(speed)
    if json_path is not None:
        write_json(dataclasses.asdict(speed), json_path)
    if json_path != "-":
        click.echo(f"{speed.device}: {speed.run:.2f} s a run before it trains, then by precision:")
        for precision, costs in speed.costs.items():
            click.echo(
                f"  {precision}: {costs.step * 1e6:.0f} us a step, {costs.layer * 1e6:.0f} us a layer, "
                f"{1e-9 / costs.flop:,.0f} GFLOP/s"
            )
