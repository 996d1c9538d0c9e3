"""Completions for a shell: sweeps, members of groups, config keys, results folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from scaling.folders import SHARED_FOLDERS

# Offered beside groups before a dot is typed; after it the keys of the run itself are.
SHORT = ("train.", "seed", "name", "results", "mirror", "on_end")
GROUPS = ("model", "data", "optim", "schedule", "augment", "stage", "launcher", "recipe")


def complete_override(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the overrides that begin with the typed text: groups and keys, then members; sweeps by their names."""
    key, given, value = incomplete.partition("=")
    if not given:
        typed = ctx.params.get(param.name or "") or ()
        known = ("sweep", *GROUPS, *(_keys(typed) if "." in key else SHORT))
        return [name if name.endswith(".") else f"{name}=" for name in known if name.startswith(key)]
    return [f"{key}={name}" for name in _names(key) if name.startswith(value)]


def _keys(typed: Sequence[str]) -> list[str]:
    """Return the config keys of a run with the typed overrides, [] if it cannot be composed."""
    from scaling.compose.groups import Composer, leaves
    from scaling.compose.session import session
    from scaling.plan.request import read_request

    try:
        with session() as loader:
            written = Composer(loader)(read_request(loader, list(typed)).lines).run
    except ValueError:
        return []
    return sorted(key for name, value in written.items() for key, _ in leaves(name, value) if "_target_" not in key)


def _names(key: str) -> list[str]:
    from scaling.compose.members import members
    from scaling.compose.roots import roots

    if key != "sweep":
        return list(members(key)) if key in GROUPS else []
    found = (file.relative_to(folder) for folder in roots("sweeps") for file in sorted(folder.rglob("*.yaml")))
    return list(dict.fromkeys(path.with_suffix("").as_posix() for path in found))


def complete_data(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the data sets that begin with the typed text."""
    return [name for name in _names("data") if name.startswith(incomplete)]


def complete_results(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    """Return the sweeps' folders below ./results that begin with the typed text."""
    return [name for name in _sweeps(Path("results"), depth=3) if name.startswith(incomplete)]


def _sweeps(folder: Path, *, depth: int) -> list[str]:
    if depth == 0 or not folder.is_dir():
        return []
    found = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() and path.name not in (*SHARED_FOLDERS, "jobs", "figures", "tables"):
            found += [path.as_posix()] if (path / "plan.csv").is_file() else []
            found += _sweeps(path, depth=depth - 1)
    return found
