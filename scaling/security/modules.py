"""Find the user's own modules and their source files, without running them."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

OURS = ("scaling", "analysis")
BY_NAME = ("import_module", "__import__", "iter_modules", "walk_packages")  # functions that import what is computed
INSTALLED = ("site-packages", "dist-packages")  # folders that package managers fill


def is_shipped(found: Any) -> bool:
    """Return whether a class or function is this package's."""
    return str(found.__module__).partition(".")[0] in OURS


def path_of(kind: type) -> str:
    """Return the dotted path of a class, as a config names it."""
    return f"{kind.__module__}.{kind.__qualname__}"


def is_own_file(path: str | Path) -> bool:
    """Return whether a file is the user's own, neither part of Python nor installed."""
    where = Path(path)
    inside = where.is_relative_to(sys.base_prefix) or where.is_relative_to(sys.prefix)
    return not inside and not set(INSTALLED) & set(where.parts)


def own_sources(names: Iterable[str]) -> dict[str, Path]:
    """Return the files of the user's own modules among these names, and of those that they import, by name."""
    found: dict[str, Path] = {}
    todo = list(names)
    while todo:
        name = todo.pop()
        if name in found or name.partition(".")[0] in OURS:
            continue
        path = own_source(name)
        if path is not None:
            found[name] = path
            todo += _imports(name, path)
    return found


@cache
def own_source(name: str) -> Path | None:
    """Return the file of a module if it is the user's own, None if it is installed or there is none."""
    if name.partition(".")[0] in sys.stdlib_module_names:
        return None
    spec = _spec(name)
    origin = None if spec is None else spec.origin
    return Path(origin) if origin and Path(origin).is_file() and is_own_file(origin) else None


def _spec(name: str) -> ModuleSpec | None:
    """Return the spec of a module, without importing it or its packages."""
    loaded = sys.modules.get(name)
    if loaded is not None:
        return getattr(loaded, "__spec__", None)
    path, found, parts = None, None, name.split(".")
    for count in range(1, len(parts) + 1):
        try:
            found = PathFinder.find_spec(".".join(parts[:count]), path)
        except (ImportError, ValueError):
            return None
        if found is None or (count < len(parts) and found.submodule_search_locations is None):
            return None
        path = list(found.submodule_search_locations or [])
    return found


def _imports(name: str, path: Path) -> Iterator[str]:
    """Yield the modules that a module imports, anywhere in its code, and the packages that contain it."""
    yield from _above(name)
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):  # not Python, or broken: nothing is imported
        return
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in BY_NAME:
            yield from _by_name(node, package)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield from (alias.name, *_above(alias.name))
        elif isinstance(node, ast.ImportFrom):
            outer = package.rsplit(".", node.level - 1)[0] if node.level else ""
            base = ".".join(part for part in (outer, node.module) if part)
            yield from (base, *_above(base), *(f"{base}.{alias.name}" for alias in node.names))


def _by_name(call: ast.Call, package: str) -> list[str]:
    """Return the module that a call imports; for a computed name all modules of the package that it may belong to."""
    first = call.args[0] if call.args else None
    known = next((node.value for node in ast.walk(first or call) if isinstance(node, ast.Constant)), "")
    text = known if isinstance(known, str) else ""
    name = ".".join(part for part in (package if text[:1] in ("", ".") else "", text.strip(".")) if part)
    if isinstance(first, ast.Constant):
        return [name, *_above(name)]
    return _modules_of(name) or _modules_of(name.rpartition(".")[0])


def _modules_of(package: str) -> list[str]:
    """Return all modules of a package, [] if there is none."""
    spec = _spec(package) if package else None
    folders = map(Path, (spec and spec.submodule_search_locations) or [])
    files = [(folder, file) for folder in folders for file in sorted(folder.rglob("*.py")) if is_own_file(file)]
    names = [".".join((package, *file.relative_to(folder).with_suffix("").parts)) for folder, file in files]
    return [name.removesuffix(".__init__") for name in names]


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]
