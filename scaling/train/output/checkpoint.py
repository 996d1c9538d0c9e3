"""Checkpoints: the state of an unfinished run on disk, used only if it is intact and belongs to this run."""

from __future__ import annotations

import hashlib
import io
import logging
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from scaling.folders import exists, set_aside, write_atomically
from scaling.security.reading import read_bytes

MAGIC = b"scaling checkpoint 1\n"
DIGEST = hashlib.sha256().digest_size
SMALL = 1 << 20  # bytes that a checkpoint may grow by in decompression
log = logging.getLogger(__name__)


def write_checkpoint(path: Path, run_id: str, state: dict[str, Any]) -> None:
    """Write tensors and plain values, preceded by their SHA-256, atomically."""
    head = len(MAGIC) + DIGEST
    buffer = io.BytesIO()
    buffer.write(MAGIC.ljust(head))
    torch.save({"run_id": run_id, "state": state}, buffer)
    whole = buffer.getbuffer()
    whole[len(MAGIC) : head] = hashlib.sha256(whole[head:]).digest()
    write_atomically(path, whole)


def read_checkpoint(path: Path, run_id: str) -> dict[str, Any] | None:
    """Return the state of a run, None if there is none; rename a file that is damaged or belongs to another run."""
    if not exists(path):
        return None
    try:
        return _read(read_bytes(path, most=None), run_id)
    except (
        ValueError,
        KeyError,
        TypeError,
        RuntimeError,
        EOFError,
        pickle.UnpicklingError,
        zipfile.BadZipFile,
    ) as error:
        log.warning(
            "found no use in %s (%s); set aside as %s, the run starts afresh", path, error, set_aside(path).name
        )
        return None


def _read(data: bytes, run_id: str) -> dict[str, Any]:
    digest, body = data[len(MAGIC) : len(MAGIC) + DIGEST], data[len(MAGIC) + DIGEST :]
    if not data.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise ValueError("not a whole checkpoint")
    grown = sum(part.file_size for part in zipfile.ZipFile(io.BytesIO(body)).infolist())
    if grown > 2 * len(body) + SMALL:
        raise ValueError(f"it would grow from {len(body):,} to {grown:,} bytes; ours are not compressed")
    found = torch.load(io.BytesIO(body), map_location="cpu", weights_only=True)
    if found["run_id"] != run_id:
        raise ValueError(f"it belongs to run {found['run_id']}")
    return found["state"]
