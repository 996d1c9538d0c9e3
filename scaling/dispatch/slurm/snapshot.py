"""Copy the code at submission, so that later edits do not affect jobs."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib.machinery import all_suffixes
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import scaling
from scaling.dispatch.queue import Entry
from scaling.errors import UserError
from scaling.folders import SHARED_FOLDERS, SweepFolder, exists, write_atomically
from scaling.security.modules import is_own_file

SKIP = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
LARGE = 1 << 20  # bytes of a file that is taken for data
ROOT = Path(scaling.__file__).resolve().parent  # the package itself


def take_snapshot(target: Path, queue: Iterable[Entry], folder: SweepFolder) -> None:
    """Copy this package and the user's own modules to `target`, with the commit and diff.

    The user's modules are those that the runs name and all that are loaded from the working directory, which includes
    what they import, without the sweep's results; large files that are no code are linked. UserError if the copy fails.
    """
    skip = _no_code(folder)
    try:
        shutil.copytree(ROOT, target / ROOT.name, ignore=SKIP)
        named = {module for entry in queue for module in _modules(entry)}
        for module in sorted(named | {name.partition(".")[0] for name in list(sys.modules)}):
            if module not in (ROOT.name, "__main__", "__mp_main__"):
                _copy_module(module, target, skip)
    except OSError as error:
        why = error.strerror or error.args[0][0][-1]  # copytree's own error lists (from, to, why) of every file
        raise UserError(
            f"found no way to copy the code to {target} ({why}); free some space, or allow writing there"
        ) from error
    if not exists(target / ROOT.name / "train" / "run.py"):
        raise UserError(
            f"found no training code in the copy {target} of {ROOT}; wanted the whole package; install scaling again"
        )
    commit = _git("rev-parse", "HEAD")
    if commit:
        write_atomically(target / "COMMIT", commit)
        write_atomically(target / "DIFF", _git("diff", "HEAD", "--", "."))
        (target / "DIFF").chmod(0o600)


def import_path(target: Path | None) -> str:
    """Return a shell line that makes a job import from the snapshot first, and from the working directory last.

    target: the snapshot, None for none. UserError for a path with a colon.
    """
    here, own = str(Path.cwd()), [path for path in sys.path if path and is_own_file(path)]
    first = [] if target is None else [str(target)]
    paths = list(dict.fromkeys([*first, *(path for path in own if path != here), here]))
    wrong = [path for path in paths if ":" in path]
    if wrong:
        raise UserError(f"found a colon in {wrong[0]}, which separates paths; wanted a folder without one; rename it")
    order = 'export PYTHONHASHSEED="${PYTHONHASHSEED:-0}"'  # the same order of sets of strings in every job
    return f'{order} PYTHONSAFEPATH=1 PYTHONPATH={shlex.quote(":".join(paths))}"${{PYTHONPATH:+:$PYTHONPATH}}"'


def check_in_job(target: Path) -> str:
    """Return a shell line that ends a job if part of its code is missing, for it would import what the user has now."""
    parts = " ".join(shlex.quote(str(path)) for path in sorted(target.glob("*")))
    lost = "found no $part; wanted the code as it was submitted; give the same command again"
    return f'for part in {parts}; do [ -e "$part" ] || {{ echo "{lost}" >&2; exit 1; }}; done'


def _modules(entry: Entry) -> set[str]:
    config = entry.run.get("config") or {}
    parts = [part for part in config.values() if isinstance(part, dict)]
    named = [part[key] for part in parts for key in ("_target_", "module") if part.get(key)]
    return {path.partition(".")[0] for path in named}


def _no_code(folder: SweepFolder) -> Callable[[str, list[str]], set[str]]:
    """Return what `copytree` leaves out of a package: results, which contain the copy, and links to what contains them.

    The results may be the package's own folder.
    """
    results = folder.results
    out = {path.resolve() for path in (results, folder.path, *(results / name for name in SHARED_FOLDERS))}

    def skip(path: str, names: list[str]) -> set[str]:
        here = Path(path).resolve()
        places = {name: (here / name).resolve() for name in names}
        found = {name for name, place in places.items() if place in out or here.is_relative_to(place)}
        return {*SKIP(path, names), *found}

    return skip


def _copy_module(name: str, target: Path, skip: Callable[[str, list[str]], set[str]]) -> None:
    try:
        spec = find_spec(name)
    except ValueError:  # a module without a spec, such as __main__
        return
    if spec is None:
        return
    folders, file = spec.submodule_search_locations, spec.origin
    if folders is None:
        if file is not None and _is_local(file):
            shutil.copy2(file, target)
        return
    how: dict[str, Any] = {"dirs_exist_ok": True, "ignore_dangling_symlinks": True}
    for folder in filter(_is_local, folders):  # several for a package without an __init__.py
        shutil.copytree(folder, target / name, ignore=skip, copy_function=_copy_or_link, **how)


def _copy_or_link(source: str, target: str) -> None:
    """Copy a file of a package, or link to it if it is large and no code.

    A package without an __init__.py may have the file in several folders: Python takes the first, which stays.
    """
    if os.path.lexists(target):
        return
    if Path(source).stat().st_size > LARGE and not source.endswith(tuple(all_suffixes())):
        Path(target).symlink_to(Path(source).resolve())
    else:
        shutil.copy2(source, target)


def _is_local(path: str) -> bool:
    """Return whether a path is the user's own and below the working directory; others are imported from their place."""
    return is_own_file(path) and Path(path).is_relative_to(Path.cwd())


def _git(*arguments: str) -> str:
    if shutil.which("git") is None:
        return ""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, errors="replace").stdout
