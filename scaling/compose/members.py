"""The members of a group of conf/, including the user's own, and the config of each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scaling.compose.roots import roots
from scaling.compose.yaml_size import check_size
from scaling.errors import UserError, suggestion


def members(group: str) -> dict[str, Path]:
    """Return the files of a group by the names of its members; the user's own take precedence over the package's."""
    return {file.stem: file for folder in reversed(roots("conf")) for file in sorted(folder.glob(f"{group}/*.yaml"))}


def member(group: str, name: str, settings: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Return the config of a member with some of its keys set; UserError if it cannot be read.

    Hydra is used only if the file needs it: importing it takes longer than reading all files of a group.
    """
    known = members(group)
    if name not in known:
        raise UserError(f"found no {group} {name!r}; {suggestion(name, known)}")
    found = _plain(known[name])
    return {**found, **(settings or {})} if found is not None else _composed(group, name, settings or {})


def _plain(file: Path) -> dict[str, Any] | None:
    """Return the content of a file, None if Hydra is needed to interpret it or to report its error."""
    try:
        check_size(file)
        text = file.read_text(encoding="utf-8")
        found = None if "${" in text else yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None
    return found if isinstance(found, dict) and "defaults" not in found else None


def _composed(group: str, name: str, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    from scaling.compose.groups import Composer
    from scaling.compose.session import session

    with session() as loader:
        config = Composer(loader)([f"{group}='{name}'"])
        given = {**config.written, group: {**config.written[group], **settings}}
        found: Mapping[str, Any] = config.resolved(given, only=(group,))[group]
    return found
