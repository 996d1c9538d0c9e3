"""The folders of configs and sweeps: the user's own ./conf and ./sweeps first, then the package's."""

from __future__ import annotations

from pathlib import Path

import scaling

PACKAGE = Path(scaling.__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return the package's own conf/ or sweeps/: inside it when installed, beside it in a checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def roots(name: str) -> list[Path]:
    """Return the folders of that name that exist, the user's before the package's."""
    return list(dict.fromkeys(folder for folder in (Path(name).absolute(), shipped(name)) if folder.is_dir()))
