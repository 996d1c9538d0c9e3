"""Copy prepared data to node-local disk, once per node, so that jobs do not all read from the file server."""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
from pathlib import Path

from scaling.data.prepare.file_lock import NoLocks, locked
from scaling.folders import atomic_folder

log = logging.getLogger(__name__)


def staged_copy(source: Path, stage: str | None) -> Path:
    """Return `source`, or its copy in the folder `stage` (with $VARIABLES), which is made if it is missing.

    Other processes of the node wait for the one that copies. If no copy can be made, `source` itself is returned.
    """
    if not stage:
        return source
    folder = Path(os.path.expandvars(stage)).expanduser()
    target = folder / f"{source.name}-{_fingerprint(source)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{target.name}.lock", doing=f"copying {source} to {folder}"):
            if not target.exists():
                with atomic_folder(target) as temporary:
                    shutil.copytree(source, temporary, dirs_exist_ok=True)
    except (OSError, NoLocks) as error:
        log.warning("cannot stage %s in %s (%s); reading it where it is", source, folder, error)
        return source
    return target


def _fingerprint(source: Path) -> str:
    """Return a short hash of the data's path, and of the names, sizes and times of its files."""
    files = sorted(source.rglob("*"))
    facts = [(str(path.relative_to(source)), path.stat().st_size, path.stat().st_mtime_ns) for path in files]
    return hashlib.sha256(repr((str(source.resolve()), facts)).encode()).hexdigest()[:12]
