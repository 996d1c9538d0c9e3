"""Archives of results: equal files give equal bytes, and archives are read as untrusted input.

NAME.tar.gz holds one folder, NAME, with a MANIFEST of the SHA-256 of every other file, in the format of `sha256sum -c`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import tarfile
import zlib
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import IO, cast

from analysis.errors import UserError

ENDINGS = (".tar.gz", ".tgz")
MANIFEST = "MANIFEST"
LINE = re.compile(r"([0-9a-f]{64})  (.+)")
LARGEST, MOST = 1_000_000_000, 10_000
"""Maximum number of bytes of an unpacked archive, and of files in it."""
BLOCK = 1 << 20
"""Bytes read at once."""


def is_archive(name: str) -> bool:
    """Tell by its name whether a file is an archive."""
    return name.lower().endswith(ENDINGS)


def pack(name: str, files: Mapping[str, bytes]) -> bytes:
    """Return the archive of a folder, without times, owners or permissions. files: content by path in the folder."""
    manifest = "".join(f"{hashlib.sha256(files[path]).hexdigest()}  {path}\n" for path in sorted(files))
    whole = {**files, MANIFEST: manifest.encode()}
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(whole):
            facts = tarfile.TarInfo(f"{name}/{path}")
            facts.size, facts.mode = len(whole[path]), 0o644
            archive.addfile(facts, io.BytesIO(whole[path]))
    return gzip.compress(text.getvalue(), mtime=0)


def unpack(path: Path, wanted: Container[str]) -> dict[str, bytes]:
    """Return the wanted files of an archive, by their paths in its folder; nothing is written to disk.

    Raises `UserError` where the archive has a link, a device, a path outside its folder, more than LARGEST bytes, or a
    mismatch with its manifest.
    """
    digests: dict[str, str] = {}
    kept: dict[str, bytes] = {}
    try:
        with gzip.open(path) as inside, tarfile.open(fileobj=_bounded(inside, path), mode="r|") as archive:
            for member, inner in _files(archive, path):
                if inner in digests:
                    raise UserError(f"found two files {inner} in {path}; wanted one")
                digest, content = _read(archive, member, keep=inner in wanted or inner == MANIFEST)
                digests[inner] = digest
                if content is not None:
                    kept[inner] = content
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError) as error:
        if isinstance(error, UserError | FileNotFoundError):
            raise
        raise UserError(
            f"found {path}, which cannot be read as a bundle ({' '.join(str(error).split())[:200]}); wanted one of "
            f"`scaling bundle`; get it again"
        ) from error
    _check(path, kept.pop(MANIFEST, None), digests)
    return kept


def _bounded(inside: gzip.GzipFile, path: Path) -> IO[bytes]:
    return cast("IO[bytes]", _Bounded(inside, path))  # tarfile in stream mode calls only `read`


class _Bounded:
    """A file from which at most LARGEST bytes are read, whatever sizes the archive declares."""

    def __init__(self, file: gzip.GzipFile, path: Path) -> None:
        self._file, self._path, self._left = file, path, LARGEST

    def read(self, size: int) -> bytes:
        """Read up to `size` bytes."""
        if size > self._left:
            raise UserError(f"found more than {LARGEST:,} bytes in {self._path}; wanted a bundle no larger than that")
        found = self._file.read(size)
        self._left -= len(found)
        return found


def _files(archive: tarfile.TarFile, path: Path) -> Iterator[tuple[tarfile.TarInfo, str]]:
    """Yield the files with their paths inside the archive's single folder."""
    folder = ""
    for count, member in enumerate(archive):
        first, _, inner = member.name.partition("/")
        parts = inner.split("/")
        safe = member.isfile() and first not in ("", ".", "..") and not {"", ".", ".."} & set(parts)
        if not safe or "\\" in member.name or first != (folder or first) or count > MOST:
            raise UserError(
                f"found {member.name!r} in {path}; wanted a bundle: files of one folder, no links, nothing that leads "
                f"out of it, no more than {MOST:,}"
            )
        folder = first
        yield member, inner


def _read(archive: tarfile.TarFile, member: tarfile.TarInfo, *, keep: bool) -> tuple[str, bytes | None]:
    """Return the digest of a file, and its content if keep is true."""
    file = archive.extractfile(member)
    assert file is not None, "_files yields regular files only"
    digest, blocks = hashlib.sha256(), []
    while block := file.read(BLOCK):
        digest.update(block)
        if keep:
            blocks.append(block)
    return digest.hexdigest(), b"".join(blocks) if keep else None


def _check(path: Path, manifest: bytes | None, digests: Mapping[str, str]) -> None:
    """Raise `UserError` unless the files match the manifest."""
    if manifest is None:
        raise UserError(f"found no {MANIFEST} in {path}; wanted a bundle, as `scaling bundle` makes it")
    lines = [LINE.fullmatch(line) for line in manifest.decode(errors="replace").splitlines()]
    declared = {found[2]: found[1] for found in lines if found}
    found = {name: digest for name, digest in digests.items() if name != MANIFEST}
    odd = sorted(name for name in {*declared, *found} if declared.get(name) != found.get(name))
    if odd or None in lines:
        which = odd[0] if odd else MANIFEST
        raise UserError(f"found {which} in {path} other than its {MANIFEST} says; wanted it unchanged; get it again")
