"""Rows of a memory-mapped file, fetched from the disk before they are read.

Reading a row that is not in memory costs a page fault, and the kernel then reads its surroundings as well: 29 to 59
times the bytes of a random image of 12 kB. With a request for each row, the disk reads only these, many in parallel.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from scaling.errors import UserError

# Shows what is in memory without reading it. A call takes about a microsecond and keeps the interpreter's lock (PyDLL):
# releasing the lock and waiting for it, 512 times a batch, would take longer.
MINCORE: Any = getattr(ctypes.PyDLL(None), "mincore", None)
LOOKED_AT = 32  # every so many rows, from the last, one is checked: opening a file brings its first rows into memory


class RowFile:
    """The file that an array of rows is mapped from."""

    def __init__(self, path: Path, array: np.ndarray, *, start: int) -> None:
        self.start, self.row_bytes, self._array = start, array[0].nbytes, array
        self._path, self._address, self._end = path, array.ctypes.data, start + array.nbytes
        self._descriptor = os.open(path, os.O_RDONLY)
        own = os.fstat(self._descriptor).st_uid == os.geteuid() or os.access(path, os.W_OK)
        self._is_told = MINCORE is not None and own  # of other users' files the kernel reports that all is in memory
        weakref.finalize(self, os.close, self._descriptor)

    @classmethod
    def of(cls, array: np.ndarray) -> RowFile | None:
        """Return the file of an array (rows, …), None if it is not mapped or its rows cannot be fetched in this way."""
        mapped = mapping_of(array)
        path = getattr(array, "filename", None)
        if mapped is None or path is None or not len(array) or not array.flags.c_contiguous:
            return None
        if not hasattr(os, "posix_fadvise"):
            return None
        begins = array.offset - array.offset % mmap.ALLOCATIONGRANULARITY  # type: ignore[attr-defined]
        within = array.ctypes.data - np.frombuffer(mapped, dtype=np.uint8).ctypes.data
        return cls(Path(path), array, start=begins + within)

    def fetch(self, rows: np.ndarray) -> bool:
        """Request ascending rows from the disk; return False if they (by a sample of them) are in memory already.

        Raises UserError if the file has been cut: reading what is no longer there would kill the process.
        """
        found = os.fstat(self._descriptor).st_size
        if found < self._end:
            raise UserError(
                f"found {self._path} with {found:,} bytes; wanted at least the {self._end:,} that it had when it was "
                f"opened; write it again, and start the run again"
            )
        if self._are_in_memory(rows[::-LOOKED_AT]):
            return False
        size = self.row_bytes
        for row in rows.tolist():
            os.posix_fadvise(self._descriptor, self.start + row * size, size, os.POSIX_FADV_WILLNEED)
        return True

    def _are_in_memory(self, rows: np.ndarray) -> bool:
        """Return whether the first byte of each row can be read without the disk; False if the kernel does not tell.

        Reading without waiting (RWF_NOWAIT) is no substitute: current kernels then start a read from the disk.
        """
        if not self._is_told:
            return False
        places, seen = self._address + rows * self.row_bytes, ctypes.c_ubyte()
        pages, out = places - places % mmap.PAGESIZE, ctypes.byref(seen)
        return all(
            MINCORE(ctypes.c_void_p(page), ctypes.c_size_t(1), out) == 0 and seen.value & 1 for page in pages.tolist()
        )


def copied_rows(array: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return copies of the rows of an array, fetched from the disk if it is mapped."""
    file = RowFile.of(array)
    if file is not None:
        file.fetch(np.sort(rows))
    return array[rows]


def mapping_of(array: np.ndarray) -> mmap.mmap | None:
    """Return the memory map that an array is a view of, None if there is none."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
