"""`scaling doctor`: check this machine."""

from __future__ import annotations

import importlib.metadata
import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from scaling.commands.options import answer, json_option
from scaling.errors import UserError

PACKAGES = ("torch", "hydra-core", "submitit", "optuna", "pandas", "scipy", "matplotlib")


@click.command(epilog="\b\nExample:\n  scaling doctor")
@click.option("--results", default="results", show_default=True, metavar="DIR", help="The results folder.")
@json_option
def doctor(results: str, json_path: str | None) -> None:
    """Say what this machine has: Python, torch, devices, SLURM, data sets, the right to write, a measured speed."""
    facts = {name: found for name, look in checks(Path(results).expanduser()).items() if (found := look())}
    answer(facts, json_path, *(line for name, found in facts.items() for line in _lines(name, found)))


def checks(results: Path) -> dict[str, Callable[[], Any]]:
    """Return the checks by name, in the order in which they are shown."""
    from scaling.compose.members import members

    return {
        "python": lambda: f"{platform.python_version()} on {platform.platform()}",
        "packages": _packages,
        "devices": _devices,
        "speed": _speed,
        **{name: partial(_launcher, name) for name in members("launcher")},
        "data": _data,
        "results": lambda: _writable(results),
    }


def _packages() -> str:
    return ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)


def _devices() -> list[str]:
    import torch

    from scaling import devices

    found = [f"CPU, {devices.cores()} cores"]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        found.append(f"cuda:{index} {facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    return found


def _speed() -> str:
    from scaling import devices
    from scaling.forecast.speed import known_speed

    speed = known_speed("cuda" if devices.gpus() else "cpu", 1)
    return "not measured: run `scaling probe`" if speed is None else f"measured for {speed.device}"


def _launcher(name: str) -> str | list[str]:
    from scaling.compose.members import member
    from scaling.config import read_group
    from scaling.dispatch.launcher import launcher_of

    try:
        return launcher_of(read_group("launcher", member("launcher", name))).describe()
    except UserError as error:  # only this entry fails; the rest is shown
        return str(error)


def _data() -> list[str]:
    from scaling.data.prepare.survey import survey

    found = survey()
    ready = [entry.name for entry in found if entry.ready]
    missing = [entry.name for entry in found if not entry.ready]
    return [f"ready: {', '.join(ready)}", f"not here: {', '.join(missing)} (`scaling data list` says what to do)"]


def _writable(results: Path) -> str:
    folder = next(parent for parent in [results.absolute(), *results.absolute().parents] if parent.exists())
    if os.access(folder, os.W_OK):
        status = os.statvfs(folder)
        return f"{results} is writable, {status.f_bavail * status.f_frsize / 1e9:.0f} GB free"
    return f"{folder} is not writable: give another folder with results=DIR"


def _lines(name: str, found: str | list[str]) -> list[str]:
    lines = [found] if isinstance(found, str) else found
    return [f"{'' if number else name:9} {line}" for number, line in enumerate(lines)]
