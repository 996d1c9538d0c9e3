"""Run a job's worker in a child process, so that a run that kills it costs the job only that run."""

from __future__ import annotations

import logging
import multiprocessing
import os
import re
import select
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

log = logging.getLogger(__name__)
FORWARDED = {signal.SIGTERM, signal.SIGINT, signal.SIGUSR2}  # SLURM sends them to the job's first process
AWAITED = {*FORWARDED, signal.SIGCHLD}
LOOK = 5.0  # seconds between two looks at the child, of whose end SIGCHLD tells anyway
DEATHS = 20  # of workers that one job survives
ANEW = 99  # exit code of a worker that asks for a new process
OOM_KILLS = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)
Handlers = dict[signal.Signals, Any]  # as signal.signal takes them
WorkerMain = Callable[[Mapping[int, str]], int]  # causes of the job's dead workers by process id -> exit code


def run_in_child(work: WorkerMain) -> int:
    """Call `work` in a child process, in another one if it dies, and return the exit code of the last.

    `work` calls `listen` when it handles signals.
    """
    deaths: dict[int, str] = {}
    with _arriving() as (arrived, handlers):
        while True:
            kills = oom_kills()
            signal.pthread_sigmask(signal.SIG_BLOCK, AWAITED)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                _handle(handlers)
                _be_child(work, deaths)
            listen()
            code, asked = _wait_for(pid, arrived)
            if code == ANEW:
                log.info("the job goes on as a new process")
                continue
            if code >= 0:
                return code
            deaths[pid] = "out_of_memory" if oom_kills() > kills else "killed"
            log.warning("the worker (process %d) died: %s (signal %d)", pid, deaths[pid], -code)
            if asked or len(deaths) > DEATHS:
                return 128 - code


def listen() -> None:
    """Let the signals through that were held back until this process handles them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, AWAITED)


@contextmanager
def _arriving() -> Iterator[tuple[int, Handlers]]:
    """Have each signal that arrives, in whichever thread, write its number as a byte to a pipe, and do nothing else.

    Yield the pipe's reading end and the handlers of before.
    """
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    handlers: Handlers = {number: signal.signal(number, lambda *_: None) for number in AWAITED}
    try:
        yield reader, handlers
    finally:
        _handle(handlers)
        signal.set_wakeup_fd(before)
        os.close(reader)
        os.close(writer)


def _handle(handlers: Handlers) -> None:
    for number, handler in handlers.items():
        signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _wait_for(pid: int, arrived: int) -> tuple[int, bool]:
    """Wait for the end of a child and pass on to it the signals whose numbers arrive in a pipe.

    Return its exit code, negative if a signal killed it, and whether it was asked to leave.
    """
    asked = False
    while True:
        ready, _, _ = select.select([arrived], [], [], LOOK)
        for number in FORWARDED.intersection(os.read(arrived, 4096) if ready else b""):
            asked = True
            os.kill(pid, number)  # it is not waited for yet, so the id is still its own
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), asked


def _be_child(work: WorkerMain, deaths: Mapping[int, str]) -> NoReturn:
    code = 1
    try:
        code = work(deaths)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:
        log.exception("the worker failed")
    finally:
        for child in multiprocessing.active_children():  # started by users' code
            child.kill()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code & 0xFF)


def oom_kills(own: Path = Path("/proc/self/cgroup"), root: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how many processes of this job's memory cgroup the kernel has killed, 0 if it does not say.

    own: the file that names this process's cgroups, of version 1 or 2; root: where they are mounted.
    """
    found = 0
    with suppress(OSError):
        for line in own.read_text().splitlines():
            _, kind, path = line.split(":", 2)
            if kind in ("memory", ""):
                file = Path(kind, path.strip("/"), "memory.oom_control" if kind else "memory.events")
                with suppress(OSError):
                    found += sum(map(int, OOM_KILLS.findall((root / file).read_text())))
    return found
