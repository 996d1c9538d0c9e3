"""The sweep file of the next round: the sweep itself, and a list block of the chosen runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf

from scaling.commands.rounds.candidates import extra_overrides
from scaling.errors import UserError
from scaling.folders import SweepFolder, write_atomically
from scaling.plan.plan import Plan
from scaling.plan.request import Request
from scaling.security.reading import read_text

MACHINES = ("# @package", "# command:", "# yaml-language-server:")  # comments for programs, not part of the question


def sweep_text(
    plan: Plan,
    request: Request,
    chosen: Sequence[Mapping[str, Any]],
    *,
    limit: Mapping[str, float],
    head: Sequence[str],
) -> str:
    """Return a sweep file with the runs of a plan and the chosen ones (the keys of each), for the plan's folder.

    A plan from a sweep file without further overrides keeps its blocks; otherwise its runs are listed.
    """
    raw: Any = OmegaConf.to_container(OmegaConf.load(plan.folder.sweep), resolve=False) or {}
    sweep: dict[str, Any] = dict(raw.pop("sweep", None) or {})
    fixed = {key: value for key, value in request.fixed.items() if extra_overrides([f"{key}="])}
    plain = plan.sweep is not None and not extra_overrides(plan.arguments)
    before = sweep.pop("grid", []) if plain else [{"list": [{**fixed, **run.overrides} for run in plan.runs]}]
    sweep |= {"grid": [*before, {"list": [{**fixed, **keys} for keys in chosen]}], "limit": dict(limit)}
    body = yaml.safe_dump(
        {**raw, "name": plan.name, "sweep": sweep}, sort_keys=False, default_flow_style=None, width=118
    )
    return "".join(f"# {line}".rstrip() + "\n" for line in head) + body


def question_of(folder: SweepFolder) -> list[str]:
    """Return a sweep's question, the first paragraph of its file's head comment; [] if there is none."""
    lines = [line for line in read_text(folder.sweep).splitlines() if not line.startswith(MACHINES)]
    head = [line.lstrip("#").strip() for line in takewhile(lambda line: line.startswith("#"), lines)]
    return list(takewhile(bool, head))


def write_sweep(path: Path, text: str) -> None:
    """Write a sweep file, and make its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)


def sweep_name_of(path: Path) -> str:
    """Return the name of a sweep file for `sweep=`; UserError if it is not in a folder `sweeps`."""
    parts = path.with_suffix("").parts
    if path.suffix != ".yaml" or "sweeps" not in parts[:-1]:
        raise UserError(f"found {path}; wanted a YAML file in the folder sweeps, such as sweeps/mine-next.yaml")
    return "/".join(parts[len(parts) - parts[::-1].index("sweeps") :])
