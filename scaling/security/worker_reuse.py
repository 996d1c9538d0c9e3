"""Whether a process may train another run, or a run's code has left changes in it that cannot be undone.

A worker whose process is worn ends, and another takes its place. Importing this imports no torch.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scaling.security.monkeypatches import has_guests, put_back, remember

log = logging.getLogger(__name__)
POOLS = ("ThreadPoolExecutor", "ahead", "gather", "checkpoint")  # threads that idle, or end by themselves; ours too
_left: list[str] = []
_worker = threading.Event()  # set in a process whose runs are others' than its caller's


def note(reason: str) -> None:
    """Note what has been left in this process."""
    log.warning("a run has left %s: its worker ends, and another takes its place", reason)
    _left.append(reason)


def wear() -> str:
    """Return what has been left in this process, '' if nothing has."""
    return "; ".join(_left)


def begin_work() -> None:
    """Take this process for a worker's, and what is loaded now for what it gives back."""
    remember()
    _worker.set()


def end_worker(why: str) -> None:
    """End a worker that can no longer write down how its run has ended: its claim tells the next one."""
    if _worker.is_set():
        log.critical("this worker ends itself: %s by its run", why)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def wear_noted() -> Iterator[None]:
    """Put back what a run's code has replaced of Python and its libraries, and note what cannot be taken back.

    Only in a worker's process: another's is its caller's to change.
    """
    if not _worker.is_set():
        yield
        return
    threads, modes = set(threading.enumerate()), set(_modes())
    try:
        yield
    finally:
        if has_guests():
            replaced = put_back()
            if replaced:
                note(f"{', '.join(replaced[:3])} replaced")
            for thread in set(threading.enumerate()) - threads:
                if not thread.name.startswith(POOLS):
                    note(f"the thread {thread.name}")
            for mode in set(_modes()) - modes:
                note(mode)


def _modes() -> Iterator[str]:
    if "torch" in sys.modules:
        from scaling.internals.torch import entered_modes

        yield from entered_modes()
