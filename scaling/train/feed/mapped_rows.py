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

MINCORE: Any = getattr(ctypes.CDLL(None), "mincore", None)  # shows what is in memory without reading it
LOOKED_AT = 32  # every so many rows one is checked, to see whether a block is in memory already


class RowFile:
    """The file that an array of rows is mapped from."""

    def __init__(self, path: Path, array: np.ndarray, *, start: int) -> None:
        self.start, self.row_bytes, self._array = start, array[0].nbytes, array
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
        """Request ascending rows from the disk; return False if they (by a sample of them) are in memory already."""
        if all(self._is_in_memory(row) for row in rows[::LOOKED_AT].tolist()):
            return False
        size = self.row_bytes
        for row in rows.tolist():
            os.posix_fadvise(self._descriptor, self.start + row * size, size, os.POSIX_FADV_WILLNEED)
        return True

    def _is_in_memory(self, row: int) -> bool:
        """Return whether the first byte of a row can be read without the disk; False if the kernel does not tell.

        Reading without waiting (RWF_NOWAIT) is no substitute: current kernels then start a read from the disk.
        """
        if not self._is_told:
            return False
        place, seen = self._array.ctypes.data + row * self.row_bytes, ctypes.c_ubyte()
        page = ctypes.c_void_p(place - place % mmap.PAGESIZE)
        return MINCORE(page, ctypes.c_size_t(1), ctypes.byref(seen)) == 0 and bool(seen.value & 1)


def mapping_of(array: np.ndarray) -> mmap.mmap | None:
    """Return the memory map that an array is a view of, None if there is none."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    return base if isinstance(base, mmap.mmap) else None
