"""Detect files of ./conf that replace the package's: a user's own, or those of another Hydra project."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scaling.compose.roots import shipped
from scaling.errors import UserError

OWN = Path("conf")
CONFIG = "config.yaml"
KEYS = ("launcher", "results", "name", "sweep", "train", "seed", "parent")  # required in conf/config.yaml
GROUPS = ("model", "data", "optim", "schedule", "augment", "stage", "launcher")  # groups whose members name a class


def shadow(group: str) -> Path | None:
    """Return a file or folder in ./conf that replaces the package's config (group "") or members of a group, if any."""
    if OWN.absolute() == shipped("conf"):
        return None
    if not group:
        return OWN / CONFIG if (OWN / CONFIG).is_file() else None
    hidden = any((shipped("conf") / group / file.name).is_file() for file in (OWN / group).glob("*.yaml"))
    return OWN / group if hidden else None


def in_the_way(group: str) -> str:
    """Return a note about such a file for an error message, "" if there is none."""
    found = shadow(group)
    return f" ({found} here stands in the place of the package's)" if found else ""


def check_config(config: Mapping[str, Any]) -> None:
    """Raise UserError if files of ./conf replace the package's and are not a config of a run."""
    for key in (*KEYS, *GROUPS):
        if key not in config and shadow("") is not None:
            refuse_config(key)
    for group in GROUPS:
        found = shadow(group)
        if found is not None and not (isinstance(config.get(group), Mapping) and "_target_" in config[group]):
            raise UserError(
                f"found a {group} without a _target_, while {found} here stands in the place of the package's; wanted "
                f"one that names its class; rename that folder if it is another project's, or work elsewhere"
            )


def refuse_config(missing: str) -> None:
    """Raise UserError for a ./conf/config.yaml that lacks a key or group."""
    raise UserError(
        f"found {OWN / CONFIG} here, which stands in the place of the package's and has no {missing}; wanted a config "
        f"of a run; rename that file if it is another project's, or work in another folder"
    )
