"""Workers of this machine are forked from one process that has imported what they need.

So that a dispatch pays for torch's import once, not once a worker. The server imports and forks, no more: it starts no
thread of its own and never touches CUDA, so that a fork of it is as good as a process of its own.
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

SET_ORDER = {"PYTHONHASHSEED": "0"}  # sets of texts in the code of users have one order in every worker
BORN, ENDED = 0, 1
TOLD = struct.Struct("qqq")  # BORN, a process's id and its start time; or ENDED, its id and its exit code
POLL = 0.005  # seconds between two looks at a process that is waited for
_SERVERS: dict[tuple[str, int], ForkServer] = {}


@dataclass(frozen=True)
class ForkOrder:
    """What a fork is to become: a submitit job of `folder`, with output, environment, directory and path as given."""

    folder: str
    stdout: str
    stderr: str
    environment: Mapping[str, str]
    directory: str
    path: list[str]


class Forked:
    """A forked process, as submitit looks at one."""

    def __init__(self, server: ForkServer, order: ForkOrder) -> None:
        self._server, self._order = server, order
        self.process: Process | None = None  # from its birth on
        self.code: int | None = None  # from its end on

    def start(self) -> None:
        """Ask for it; it comes when the server's imports are done."""
        self._server.ask(self, self._order)

    def poll(self) -> int | None:
        """Return its exit code, None while it lives or is about to."""
        self._server.listen()
        if self.code is None and not self._server.alive and (self.process is None or self.process.gone):
            return 1  # nobody is left to tell
        return self.code

    def wait(self) -> None:
        """Return when it has ended."""
        while self.poll() is None:
            time.sleep(POLL)

    def kill(self) -> None:
        """End it at once, with all that it has started."""
        self._server.listen()
        if self.process is None:  # still importing: nothing would be left to tell the fork that it is not wanted
            self._server.kill()
        if self.process is not None and self.poll() is None:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)


class ForkServer:
    """The server as its dispatcher sees it; it ends with the dispatcher, whichever way that ends."""

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
        """Whether it can be asked."""
        return self._server.poll() is None

    def ask(self, forked: Forked, order: ForkOrder) -> None:
        """ForkOrder a process."""
        self._unborn.append(forked)
        self._orders.write(json.dumps(asdict(order)).encode() + b"\n")

    def listen(self) -> None:
        """Note which processes have been forked and which have ended meanwhile."""
        while (self._unborn or self._living) and select.select([self._answers], [], [], 0)[0]:
            answer = self._answers.read(TOLD.size)
            if not answer:
                return
            what, pid, fact = TOLD.unpack(answer)
            if what == BORN:
                forked = self._living[pid] = self._unborn.popleft()
                forked.process = replace(this_process(), pid=pid, start=fact)
            else:
                self._living.pop(pid).code = fact

    def kill(self) -> None:
        """End the server; what it has forked lives on."""
        self._server.kill()
        self._server.wait()
        self.listen()


def fork_server(train: str, threads: int) -> ForkServer:
    """Return this process's server for workers that train by `train` (module:function) with so many threads."""
    server = _SERVERS.get((train, threads))
    if server is None or not server.alive:
        server = _SERVERS[train, threads] = ForkServer(train, threads)
    return server


def serve(train: str) -> None:
    """Import what `train` needs; then fork a process for each order on stdin, until there are no more."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.dup(1)
    _open_as(0, os.devnull, os.O_RDONLY)
    os.dup2(2, 1)  # what an import prints is no answer
    _import(train)
    signal.signal(signal.SIGCHLD, lambda *_: _reap(answers))
    for line in orders:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # no end is told before its beginning
        ready, told = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of threads: NumPy's BLAS has its own, and minds forks
            pid = os.fork()
        if pid == 0:
            orders.close()
            os.close(answers)
            os.close(ready)
            _become(ForkOrder(**json.loads(line)), told)
        os.close(told)
        os.read(ready, 1)  # returns when the fork has a session of its own, or has died
        os.close(ready)
        os.write(answers, TOLD.pack(BORN, pid, start_time(pid) or 0))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
    os._exit(0)


def _reap(answers: int) -> None:
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            os.write(answers, TOLD.pack(ENDED, pid, os.waitstatus_to_exitcode(status)))


def _import(train: str) -> None:
    with suppress(Exception):  # a worker that meets the same error says so in its own log
        import scaling.security.job  # noqa: F401
        from scaling.dispatch.worker import load
        from scaling.security.monkeypatches import remember

        load(train)
        remember()
    gc.freeze()  # what the forks share stays shared only as long as nobody goes through it for garbage


def _become(order: ForkOrder, told: int) -> NoReturn:
    """Run a submitit job in a session of its own and end the process without taking the interpreter apart."""
    code = 1
    try:
        os.setsid()
        os.close(told)
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
