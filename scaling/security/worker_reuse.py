"""Decide whether a process can train another run, or a run's code has made changes that cannot be undone.

A worker with such changes ends, and is replaced. Importing this imports no torch.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from scaling.security.monkeypatches import has_own_modules, remember, restore_functions

log = logging.getLogger(__name__)
# Names, or their beginnings, of threads that are idle or end by themselves. Dummy: torch differentiates there on a GPU.
OF_THIS_PACKAGE = ("ThreadPoolExecutor", "ahead", "gather", "checkpoint")
OF_LIBRARIES = ("tqdm_monitor", "InductorSubproc", "subproc_worker_timer", "Dummy-")
_left: list[str] = []
_worker = threading.Event()  # set in the process of a worker


def note(reason: str) -> None:
    """Note a change of this process that cannot be undone."""
    log.warning("a run has left %s: its worker ends, and another takes its place", reason)
    _left.append(reason)


def permanent_changes() -> str:
    """Return the changes of this process that cannot be undone, '' if there are none."""
    return "; ".join(_left)


def begin_work() -> None:
    """Mark this process as a worker's, and remember the loaded functions for restoring them."""
    remember()
    _worker.set()


def end_worker(why: str) -> None:
    """End a worker that can no longer record how its run ended; its claim shows this to the next one."""
    if _worker.is_set():
        log.critical("this worker ends itself: %s by its run", why)
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def permanent_changes_noted() -> Iterator[None]:
    """Restore functions of Python and its libraries that a run's code replaced, and note what cannot be undone.

    Only in a worker's process.
    """
    if not _worker.is_set():
        yield
        return
    threads, modes = set(threading.enumerate()), set(_modes())
    try:
        yield
    finally:
        if has_own_modules():
            replaced = restore_functions()
            if replaced:
                note(f"{', '.join(replaced[:3])} replaced")
            for thread in set(threading.enumerate()) - threads:
                if not thread.name.startswith((*OF_THIS_PACKAGE, *OF_LIBRARIES)):
                    note(f"the thread {thread.name}")
            for mode in set(_modes()) - modes:
                note(mode)


def _modes() -> Iterator[str]:
    if "torch" in sys.modules:
        from scaling.internals.torch import entered_modes

        yield from entered_modes()
