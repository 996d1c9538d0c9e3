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

TRUSTED = ("scaling", "torch")  # packages whose code every config may name
LIST = Path("conf") / "trust.yaml"
WANTED = (
    f"wanted torch's, that of a file below this folder, or of a package listed under trust: in {LIST}; "
    f"give --trust where you know what it does"
)
_all = False  # whether everything may be named
_own: set[str] = set()  # modules found below the working directory, which stay trusted if it changes later


def trust_all() -> None:
    """Let this process run all code that its configs name: a worker's were checked before they were queued."""
    global _all
    _all = True


@contextmanager
def trusting(everything: bool) -> Iterator[None]:
    """Within the block, let configs name any code, if `everything` is true."""
    global _all
    before, _all = _all, _all or everything
    try:
        yield
    finally:
        _all = before


def check_trusted(module: str, *, named: str) -> None:
    """Raise UserError if a module's code may not be run, before it is imported; named: the config's words."""
    if not is_trusted(module) and _exists(module.partition(".")[0]):
        raise UserError(f"found {named}, code of others; {WANTED}")


def is_trusted(module: str) -> bool:
    """Return whether a module's code may be run for a config that names it."""
    return module.partition(".")[0] in TRUSTED or is_own_code(module)


def is_own_code(module: str) -> bool:
    """Return whether a module's code is the user's own, or in a package that the user trusts."""
    top = module.partition(".")[0]
    foreign = top in sys.stdlib_module_names or top in TRUSTED
    return _all or (not foreign and (_is_local(module) or top in listed()))


def _is_local(module: str) -> bool:
    if module not in _own:
        path = own_source(module) or own_source(module.partition(".")[0])  # its package if it is missing
        if path is None or not path.absolute().is_relative_to(Path.cwd()):
            return False
        _own.add(module)
    return True


def _exists(top: str) -> bool:
    """Return whether the module exists; importing a missing one only raises an error."""
    try:
        return bool(top) and find_spec(top) is not None
    except (ImportError, ValueError):  # of one that was made without a file, which is there
        return True


def listed() -> frozenset[str]:
    """Return the packages listed in the user's conf/trust.yaml; UserError if it is not a list of names."""
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
        raise UserError(
            f"found {path}, which cannot be read ({' '.join(str(error).split())[:120]}); wanted YAML; repair it"
        ) from None
    names = found.get("trust") if isinstance(found, dict) else None
    if not isinstance(names, list) or not all(isinstance(name, str) and name.isidentifier() for name in names):
        raise UserError(f"found {path} without a list of packages; wanted trust: [PACKAGE, …]; mend the file")
    return frozenset(names)
