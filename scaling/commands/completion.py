"""What a shell offers while a command is typed: sweeps, members of groups, results folders."""

from __future__ import annotations

from pathlib import Path

import click

GROUPS = ("model", "data", "optim", "schedule", "augment", "stage", "launcher", "recipe")


def complete_override(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the overrides that begin with what is typed: groups, then their members; sweeps by their names."""
    key, given, value = incomplete.partition("=")
    if not given:
        return [f"{name}=" for name in ("sweep", *GROUPS) if name.startswith(key)]
    return [f"{key}={name}" for name in _names(key) if name.startswith(value)]


def _names(key: str) -> list[str]:
    from scaling.compose.members import members
    from scaling.compose.roots import roots

    if key != "sweep":
        return list(members(key)) if key in GROUPS else []
    found = (file.relative_to(folder) for folder in roots("sweeps") for file in sorted(folder.rglob("*.yaml")))
    return list(dict.fromkeys(path.with_suffix("").as_posix() for path in found))


def complete_results(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the sweeps' folders below a folder called results here that begin with what is typed."""
    return [name for name in _sweeps(Path("results"), depth=3) if name.startswith(incomplete)]


def _sweeps(folder: Path, *, depth: int) -> list[str]:
    if depth == 0 or not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in ("runs", "features", "jobs", "figures", "tables"):
            found += [path.as_posix()] if (path / "plan.csv").is_file() else []
            found += _sweeps(path, depth=depth - 1)
    return found
