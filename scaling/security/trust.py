"""Whose code a config may name: torch's and this package's, that of files below the working directory, and of packages
that the user's own conf/trust.yaml lists. A sweep file is data that people copy from each other: it runs nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from scaling.errors import UserError
from scaling.security.modules import own_source

OURS = ("scaling", "torch")
LIST = Path("conf") / "trust.yaml"
WANTED = (
    f"wanted torch's, that of a file below this folder, or of a package listed under trust: in {LIST}; "
    f"give --trust where you know what it does"
)
_all = False  # whether everything may be named
_own: set[str] = set()  # modules that were found below the working directory: where a process goes later is no matter


def trust_all() -> None:
    """Let this process run whatever its configs name: a worker's have passed here before they were queued."""
    global _all
    _all = True


@contextmanager
def trusting(everything: bool) -> Iterator[None]:
    """Let what configs name be run for a while, where `everything` says so."""
    global _all
    before, _all = _all, _all or everything
    try:
        yield
    finally:
        _all = before


def check_trusted(module: str, *, named: str) -> None:
    """Raise UserError if a module's code may not be run, before it is imported; named: what a config says."""
    if not is_trusted(module) and _is_somewhere(module.partition(".")[0]):
        raise UserError(f"found {named}, code of others; {WANTED}")


def is_trusted(module: str) -> bool:
    """Return whether a module's code may be run for a config that names it."""
    return module.partition(".")[0] in OURS or is_own(module)


def is_own(module: str) -> bool:
    """Return whether a module's code is the user's, or of those that the user trusts."""
    top = module.partition(".")[0]
    foreign = top in sys.stdlib_module_names or top in OURS
    return _all or (not foreign and (_lies_here(module) or top in listed()))


def _lies_here(module: str) -> bool:
    if module not in _own:
        path = own_source(module) or own_source(module.partition(".")[0])  # of a part that is not there: says so
        if path is None or not path.absolute().is_relative_to(Path.cwd()):
            return False
        _own.add(module)
    return True


def _is_somewhere(top: str) -> bool:
    """Return whether there is such a module at all: importing one that is not there says so, and runs nothing."""
    try:
        return bool(top) and find_spec(top) is not None
    except (ImportError, ValueError):  # of one that was made without a file, which is there
        return True


def listed() -> frozenset[str]:
    """Return the packages that the user's own conf lists; UserError if it is no list of names."""
    try:
        return _listed(LIST.absolute(), LIST.stat().st_mtime_ns)
    except FileNotFoundError:
        return frozenset()


@cache
def _listed(path: Path, _: int) -> frozenset[str]:
    import yaml

    try:
        found: Any = yaml.safe_load(path.read_text())
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"found {path}, which cannot be read ({' '.join(str(error).split())[:120]})") from None
    names = found.get("trust") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise UserError(f"found {path} without a list of packages; wanted trust: [PACKAGE, …]; mend the file")
    return frozenset(names)
