"""The record of a settled run: the only writer and reader of record.json."""

from __future__ import annotations

import json
import math
import os
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, get_args

import scaling
from scaling.errors import UserError
from scaling.folders import RunFolder, write_atomically
from scaling.security.reading import parse_json, read_bytes

SCHEMA = 1  # raised when a field changes its meaning; new fields need no new number
PACKAGES = ("torch", "numpy", "hydra-core")  # packages whose versions may change a run's results or its config

Status = Literal["finished", "diverged"]
STATUSES = get_args(Status)


@dataclass(frozen=True)
class Point:
    """One milestone of a run.

    loss, error: of the test set, with their standard errors over its examples; val_…: of the validation set;
    train_loss: the same loss, evaluated the same way, of the first examples of the training subset (see
    scaling/train/losses.py); lr: the rate of the last step. None where a number is not finite or does not exist.
    """

    step: int
    D: int
    C: int
    C_counted: int
    epochs: float
    loss: float | None
    loss_se: float | None
    error: float | None
    error_se: float | None
    val_loss: float | None
    val_error: float | None
    train_loss: float | None
    lr: float | None
    final: bool


POINT = tuple(f.name for f in fields(Point))


class BrokenRecord(UserError):
    """A record that cannot be read."""


@dataclass(frozen=True)
class Record:
    """A settled run; descent: what a stage started from, with the quantities of the run from scratch there; content:
    digests of the data and of the user's own code (see content/run_content.py), none in records of version 0.1.0.

    On the same kind of device everything is reproducible bit for bit, except `how`: of the clock and the machine."""

    run_id: str
    status: Status
    flags: tuple[str, ...]
    config: Mapping[str, Any]
    counts: Mapping[str, int | float]
    data: Mapping[str, Any]
    points: tuple[Point, ...]
    descent: Mapping[str, Any] = field(default_factory=dict)
    content: Mapping[str, str] = field(default_factory=dict)
    how: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON; a number that is not finite is None."""
        own = {f.name: getattr(self, f.name) for f in fields(self)}  # asdict would copy all of it first
        return finite({**own, "points": [vars(point) for point in self.points]})

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Record:
        """Read a record of this or an older schema; BrokenRecord if something is missing or from a newer one."""
        if not isinstance(raw, Mapping) or not isinstance(raw.get("schema"), int):
            raise BrokenRecord("found no schema number; wanted a record; train the run again")
        if raw["schema"] > SCHEMA:
            raise BrokenRecord(f"found schema {raw['schema']}; wanted at most {SCHEMA}; update scaling")
        if raw.get("status") not in STATUSES or not raw.get("points"):
            raise BrokenRecord("found a record without a status or a point; wanted a whole one; train the run again")
        try:
            values = {f.name: raw[f.name] for f in fields(cls) if f.name in raw}
            points = tuple(Point(**{name: point.get(name) for name in POINT}) for point in values.pop("points"))
            return cls(**{**values, "flags": tuple(values["flags"]), "points": points})
        except (AttributeError, KeyError, TypeError) as error:
            raise BrokenRecord(f"found a record without {error}; wanted a whole one; train the run again") from error


def finite(value: Any) -> Any:
    """Return plain JSON with None in place of every number that is not finite."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return value


def write_record(path: Path, record: Record) -> None:
    """Write a record atomically."""
    write_atomically(path, json.dumps(record.to_dict(), indent=1, allow_nan=False) + "\n")


def read_record(folder: RunFolder) -> Record | None:
    """Read a run's record, None if there is none; BrokenRecord if it is truncated or of another run."""
    try:
        found = Record.from_dict(parse_json(read_bytes(folder.record)))
        if found.run_id != folder.run_id:
            raise BrokenRecord(f"it is that of run {found.run_id}")
        return found
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise BrokenRecord(f"found a broken record in {folder.record} ({error})") from error


@cache
def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of those that may change a run's numbers."""
    found = {"python": platform.python_version(), "scaling": scaling.__version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


@cache
def commit() -> dict[str, Any]:
    """Return the git commit of the package's own sources and whether they were changed; empty outside a checkout."""
    here = Path(scaling.__file__).resolve().parent
    try:
        ask = ["git", "-C", str(here), "status", "--porcelain=v2", "--branch", "--untracked-files=no", "--", "."]
        # git status must not take the index lock while somebody works in the checkout.
        environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        found = subprocess.run(ask, capture_output=True, text=True, timeout=10, check=False, env=environment)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    lines = found.stdout.splitlines()
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid ")]
    if found.returncode or not commits or not _tracked(here):
        return {}
    return {"commit": commits[0], "dirty": any(not line.startswith("#") for line in lines)}


def _tracked(here: Path) -> bool:
    """Return whether this is a checkout of the package, not one that only contains an installed copy (as in a venv)."""
    ask = ["git", "-C", str(here), "ls-files", "--error-unmatch", "__init__.py"]
    return subprocess.run(ask, capture_output=True, timeout=10, check=False).returncode == 0
