"""Fork the workers of this machine from one process that has imported what they need.

So torch is imported once for a dispatch, not once for each worker. The server only imports and forks: it starts no
threads and never initialises CUDA, so that its forks work like independent processes.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import select
import signal
import struct
import subprocess
import sys
import time
import warnings
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import IO, NoReturn, cast

from scaling.devices import thread_environment
from scaling.dispatch.process import Process, start_time, this_process

SET_ORDER = {"PYTHONHASHSEED": "0"}  # sets of strings in users' code have the same order in every worker
BORN, ENDED = 0, 1
MESSAGE = struct.Struct("qqq")  # a message: BORN, process id, start time; or ENDED, process id, exit code
POLL = 0.005  # seconds between two checks of a process in `wait`
_SERVERS: dict[tuple[str, int], ForkServer] = {}


@dataclass(frozen=True)
class ForkOrder:
    """The order for a fork: a submitit job in `folder`, with output files, environment, directory and sys.path."""

    folder: str
    stdout: str
    stderr: str
    environment: Mapping[str, str]
    directory: str
    path: list[str]


class Forked:
    """A forked process, with the interface that submitit expects of a process."""

    def __init__(self, server: ForkServer, order: ForkOrder) -> None:
        self._server, self._order = server, order
        self.process: Process | None = None  # None until it is forked
        self.code: int | None = None  # None until it ends

    def start(self) -> None:
        """Request the fork, which is made after the server's imports."""
        self._server.ask(self, self._order)

    def poll(self) -> int | None:
        """Return its exit code, None before its end."""
        self._server.listen()
        if self.code is None and not self._server.alive and (self.process is None or self.process.gone):
            return 1  # the server that would report its exit code is gone
        return self.code

    def wait(self) -> None:
        """Wait until it has ended."""
        while self.poll() is None:
            time.sleep(POLL)

    def kill(self) -> None:
        """Kill it at once, with its child processes."""
        self._server.listen()
        if self.process is None:  # the server is still importing: without it the fork is never made
            self._server.kill()
        if self.process is not None and self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class ForkServer:
    """The dispatcher's handle of the server, which ends with the dispatcher in any case."""

    def __init__(self, train: str, threads: int) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-P", "-u", "-m", "scaling.dispatch.local.forkserver", train],
            env={**SET_ORDER, **os.environ, **thread_environment(threads)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,
        )
        self._orders, self._answers = cast("IO[bytes]", self._server.stdin), cast("IO[bytes]", self._server.stdout)
        self._unborn: deque[Forked] = deque()
        self._living: dict[int, Forked] = {}
        atexit.register(self.kill)

    @property
    def alive(self) -> bool:
        """Whether the server is running."""
        return self._server.poll() is None

    def ask(self, forked: Forked, order: ForkOrder) -> None:
        """Order a process."""
        self._unborn.append(forked)
        self._orders.write(json.dumps(asdict(order)).encode() + b"\n")

    def listen(self) -> None:
        """Process the server's messages about forked and ended processes."""
        while (self._unborn or self._living) and select.select([self._answers], [], [], 0)[0]:
            answer = self._answers.read(MESSAGE.size)
            if not answer:
                return
            what, pid, fact = MESSAGE.unpack(answer)
            if what == BORN:
                forked = self._living[pid] = self._unborn.popleft()
                forked.process = replace(this_process(), pid=pid, start=fact)
            else:
                self._living.pop(pid).code = fact

    def kill(self) -> None:
        """Kill the server; its forks continue."""
        self._server.kill()
        self._server.wait()
        self.listen()


def fork_server(train: str, threads: int) -> ForkServer:
    """Return this process's server for workers with the training function `train` (module:function) and `threads`."""
    server = _SERVERS.get((train, threads))
    if server is None or not server.alive:
        server = _SERVERS[train, threads] = ForkServer(train, threads)
    return server


def serve(train: str) -> None:
    """Import what `train` needs, then fork a process for each order on stdin, until its end."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    _open_as(0, os.devnull, os.O_RDONLY)
    os.dup2(2, 1)  # output of imports must not mix with the answers
    _import(train)
    signal.signal(signal.SIGCHLD, lambda *_: _reap(answers))
    for line in orders:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # an end must not be reported before its beginning
        ready, begun = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # about threads: those of NumPy's BLAS survive forks
            pid = os.fork()
        if pid == 0:
            orders.close()
            os.close(answers)
            os.close(ready)
            _become(ForkOrder(**json.loads(line)), begun)
        os.close(begun)
        os.read(ready, 1)  # returns when the fork has its own session, or has died
        os.close(ready)
        os.write(answers, MESSAGE.pack(BORN, pid, start_time(pid) or 0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os._exit(0)


def _reap(answers: int) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            os.write(answers, MESSAGE.pack(ENDED, pid, os.waitstatus_to_exitcode(status)))


def _import(train: str) -> None:
    with suppress(Exception):  # a worker reports the same error in its own log
        import scaling.dispatch.stacks.claim_stack
        import scaling.security.job  # noqa: F401
        from scaling.dispatch.task import load
        from scaling.security.monkeypatches import remember

        load(train)
        remember()
    gc.freeze()  # garbage collection would copy the memory that the forks share


def _become(order: ForkOrder, begun: int) -> NoReturn:
    """Run a submitit job in a new session, and exit without the interpreter's cleanup."""
    code = 1
    try:
        os.setsid()
        os.close(begun)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        _open_as(1, order.stdout, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        _open_as(2, order.stderr, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.environ.clear()
        os.environ.update(order.environment)
        os.chdir(order.directory)
        sys.path[:] = order.path
        from scaling.security.job import run_job

        run_job(order.folder)
        code = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        atexit._run_exitfuncs()
        os._exit(code)


def _open_as(descriptor: int, path: str, flags: int) -> None:
    opened = os.open(path, flags, 0o666)
    os.dup2(opened, descriptor)
    os.close(opened)


if __name__ == "__main__":
    serve(sys.argv[1])
