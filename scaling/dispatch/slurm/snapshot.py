"""A copy of the code, so that what was submitted is what runs, whatever is edited meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

import scaling
from scaling.dispatch.queue import Entry
from scaling.folders import write_aside

SKIP = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
ROOT = Path(scaling.__file__).resolve().parent  # the package itself


def take_snapshot(target: Path, queue: Iterable[Entry]) -> None:
    """Copy this package, and the user's own modules that the runs name, to `target`; keep commit and diff beside."""
    shutil.copytree(ROOT, target / ROOT.name, ignore=SKIP)
    for module in sorted({module for entry in queue for module in _modules(entry)} - {ROOT.name}):
        _copy_module(module, target)
    commit = _git("rev-parse", "HEAD")
    if commit:
        write_aside(target / "COMMIT", commit)
        write_aside(target / "DIFF", _git("diff", "HEAD"))


def import_path(target: Path) -> str:
    """Return the lines that make a job import the snapshot first, then what stood in the submitter's directory."""
    here = [str(target), str(Path.cwd()), *(path for path in sys.path if path and _own(path))]
    unique = ":".join(dict.fromkeys(here))
    return f'export PYTHONSAFEPATH=1 PYTHONPATH="{unique}${{PYTHONPATH:+:$PYTHONPATH}}"'


def _own(path: str) -> bool:
    return not Path(path).is_relative_to(sys.base_prefix) and not Path(path).is_relative_to(sys.prefix)


def _modules(entry: Entry) -> set[str]:
    config = entry.run.get("config") or {}
    parts = [part for part in config.values() if isinstance(part, dict)]
    named = [part[key] for part in parts for key in ("_target_", "module") if part.get(key)]
    return {path.partition(".")[0] for path in named}


def _copy_module(name: str, target: Path) -> None:
    spec = find_spec(name)
    if spec is None or spec.origin is None or not _own(spec.origin) or not Path(spec.origin).is_relative_to(Path.cwd()):
        return  # installed, or a namespace: found where it is
    if spec.submodule_search_locations:
        shutil.copytree(Path(spec.origin).parent, target / name, ignore=SKIP)
    else:
        shutil.copy2(spec.origin, target)


def _git(*arguments: str) -> str:
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, errors="replace").stdout
