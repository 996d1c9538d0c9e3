"""The folders of configs and sweeps: the user's own ./conf and ./sweeps first, then the package's."""

from __future__ import annotations

from os.path import normpath
from pathlib import Path

import scaling

PACKAGE = Path(scaling.__file__).resolve().parent


def shipped(name: str) -> Path:
    """Return the package's own conf/ or sweeps/: inside it when installed, beside it in a checkout."""
    inside = PACKAGE / name
    return inside if inside.is_dir() else PACKAGE.parent / name


def roots(name: str) -> list[Path]:
    """Return the existing folders of this name, the user's before the package's."""
    return list(dict.fromkeys(folder for folder in (Path(name).absolute(), shipped(name)) if folder.is_dir()))


def key_of(override: str) -> str:
    """Return the key that an override on the command line names."""
    return override.lstrip("+~").partition("=")[0].strip()


def sweep_name(given: str) -> str:
    """Return the name of a sweep that is given by its name or the path of its file, also one through links or `..`."""
    path = Path(given.removesuffix(".yaml")).expanduser()
    written = Path(normpath(path.absolute()))
    if path.is_absolute() or not any((folder / f"{path}.yaml").is_file() for folder in roots("sweeps")):
        for folder in roots("sweeps"):
            for at, root in ((written, folder), (path.parent.resolve() / path.name, folder.resolve())):
                if at.is_relative_to(root):
                    return at.relative_to(root).as_posix()
    return path.as_posix()
