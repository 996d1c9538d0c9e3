"""The identity of a process: its id, start time and machine, because process ids are reused."""

from __future__ import annotations

import os
import pwd
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from scaling.folders import exists


@dataclass(frozen=True)
class Process:
    """A globally unique process; space: the machine's boot and PID namespace; start: clock ticks since boot."""

    host: str
    space: str
    pid: int
    start: int

    @property
    def here(self) -> bool:
        """Whether the process would be visible from here if it is running."""
        return self.host == host() and self.space == _space()

    @property
    def gone(self) -> bool:
        """Whether the process is known to have ended; False if it is not visible from here."""
        return self.here and start_time(self.pid) != self.start


@cache
def host() -> str:
    """Return this machine's name; under SLURM the node's name, as SLURM's tools print it."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


@cache
def _space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no /proc: only the machine's name is used
        return ""


def start_time(pid: int) -> int | None:
    """Return when a process of this machine started (clock ticks since boot), None if there is none with this id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if exists(Path("/proc/self/stat")):
            return None
        return _start_unknown(pid)
    return None if fields[0] in "ZX" else int(fields[19])  # a zombie has ended; field 22 of proc(5)


def _start_unknown(pid: int) -> int | None:
    """Return 0 for a process that exists, where its start time cannot be read; None if there is none."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:  # another user's
        pass
    return 0


def this_process() -> Process:
    """Return this process."""
    return _process(os.getpid())


@cache
def _process(own: int) -> Process:
    return Process(host(), _space(), own, start_time(own) or 0)  # cached by pid, which differs in a fork


def this_user() -> str:
    """Return this user's name, or the user id if it has no name."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
