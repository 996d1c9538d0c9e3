"""The identity of a process: its id, start time and machine, because process ids are reused."""

from __future__ import annotations

import os
import pwd
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Process:
    """A process that can be told from any other: `space` is the machine's boot and the table its pid counts in."""

    host: str
    space: str
    pid: int
    start: int

    @property
    def here(self) -> bool:
        """Whether this machine can see the process, if it lives."""
        return self.host == host() and self.space == _space()

    @property
    def gone(self) -> bool:
        """Whether the process is known to have ended; False where it cannot be seen from here."""
        return self.here and start_time(self.pid) != self.start


@cache
def host() -> str:
    """Return this machine's name; under SLURM the node's name, which is what SLURM's tools print."""
    return os.environ.get("SLURMD_NODENAME") or socket.gethostname()


@cache
def _space() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text()[:8]
        return f"{boot}-{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no /proc: the name of the machine has to do
        return ""


def start_time(pid: int) -> int | None:
    """Return when a process of this machine started (clock ticks since boot), None where there is none by that id."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        return _start_unknown(pid)
    return None if fields[0] in "ZX" else int(fields[19])  # a zombie has ended; field 22 of proc(5)


def _start_unknown(pid: int) -> int | None:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        return 0
    return 0


def this_process() -> Process:
    """Return the process that asks."""
    return _process(os.getpid())


@cache
def _process(own: int) -> Process:
    return Process(host(), _space(), own, start_time(own) or 0)  # of a fork, another number


def this_user() -> str:
    """Return the name of the user who asks, or the number where it has none."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())
