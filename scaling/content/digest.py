"""Digests of files: each is read once, and then recognised by its size and times."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from scaling.folders import cache_folder, write_atomically

DIGITS = 16  # hex digits of a digest
WHOLE = 1 << 32  # bytes: of a larger file, blocks all over it are read
BLOCKS, BLOCK = 16_384, 1 << 16  # how many, and of how many bytes
MANY = 1_000  # files of a folder: beyond, names and sizes have to do
KEPT = 1 << 20  # bytes: digests of larger files are kept in the user's cache
SETTLED = 2.0  # seconds after which a file's time is trusted to change when its content does

_known: dict[tuple[str, ...], str] = {}


def digest_of(path: Path) -> str:
    """Return the digest of a file's content, or of a folder's files by name; "" if there is neither."""
    if path.is_dir():
        shown = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
        return digest_of_files(shown, below=path)
    return _digest_of_file(path) if path.is_file() else ""


def digest_of_files(files: Iterable[Path], *, below: Path) -> str:
    """Return one digest of several files, with their names below a folder; "" if there are none."""
    found = sorted(files)
    if len(found) > MANY:
        facts = [f"{file.relative_to(below)} {file.stat().st_size}" for file in found]
    else:
        facts = [f"{file.relative_to(below)} {_digest_of_file(file)}" for file in found]
    return joined(facts)


def joined(parts: Iterable[str]) -> str:
    """Return one digest of several strings, "" if all are empty."""
    given = [part for part in parts if part]
    return hashlib.sha256("\n".join(given).encode()).hexdigest()[:DIGITS] if given else ""


def _digest_of_file(path: Path) -> str:
    facts = path.stat()
    key = (str(path.resolve()), *map(str, (facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino)))
    if key in _known:
        return _known[key]
    kept = cache_folder() / "digests" / f"{hashlib.sha256(key[0].encode()).hexdigest()[:DIGITS]}.json"
    found = _kept(kept, key) if facts.st_size > KEPT else None
    if found is None:
        found = _read(path, facts.st_size)
        if time.time() - max(facts.st_mtime, facts.st_ctime) < SETTLED:
            return found
        if facts.st_size > KEPT:
            with suppress(OSError):
                write_atomically(kept, json.dumps({"file": key, "digest": found}))
    _known[key] = found
    return found


def _kept(path: Path, key: tuple[str, ...]) -> str | None:
    try:
        raw = json.loads(path.read_text())
        return str(raw["digest"]) if tuple(raw["file"]) == key else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(path: Path, size: int) -> str:
    with path.open("rb") as file:
        if size <= WHOLE:
            return hashlib.file_digest(file, "sha256").hexdigest()[:DIGITS]
        found = hashlib.sha256(str(size).encode())
        for number in range(BLOCKS):
            file.seek((size - BLOCK) * number // (BLOCKS - 1), os.SEEK_SET)
            found.update(file.read(BLOCK))
    return found.hexdigest()[:DIGITS]
