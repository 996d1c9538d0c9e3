"""`mirror=`: write the runs for another tool during training, in a process that only reads their files."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from tempfile import TemporaryFile
from typing import TYPE_CHECKING

from scaling.commands.options import as_typed
from scaling.errors import UserError

PATIENCE = 3.0  # seconds of waiting before a message

if TYPE_CHECKING:
    from scaling.folders import SweepFolder
    from scaling.terminal_table import Terminal


def check_mirror(tool: str) -> None:
    """Raise UserError if the tool is not installed."""
    if tool and find_spec(tool) is None:
        raise UserError(f"found no {tool} here; wanted it for mirror={tool}; pip install 'scaling[{tool}]'")


def mirror_command(folder: SweepFolder, tool: str) -> str:
    """Return a shell command that mirrors a sweep until its runs have ended."""
    return shlex.join(["scaling", "export", as_typed(folder.path), "--to", tool, "--follow"])


def _wait(process: subprocess.Popen[bytes], tool: str, console: Terminal) -> None:
    """Wait for the process to write the rest; it ends by itself."""
    try:
        process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        console.say(f"mirror={tool}: writes the remaining data (Ctrl-C: in the background)")
        process.communicate()


@contextmanager
def mirrored(folder: SweepFolder, tool: str, console: Terminal) -> Iterator[None]:
    """Mirror a sweep within the block, and print how that ended; its errors do not affect the sweep."""
    if not tool:
        yield
        return
    command = [sys.executable, "-P", "-m", "scaling", "export", as_typed(folder.path), "--to", tool, "--follow"]
    with TemporaryFile() as output:
        # In its own session, so that Ctrl-C only reaches the sweep; it ends when its stdin is closed, in any case.
        process = subprocess.Popen(
            [*command, "--until-stdin-ends"],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield
        finally:
            with suppress(KeyboardInterrupt):
                _wait(process, tool, console)
                output.seek(0)
                lines = output.read().decode(errors="replace").strip().splitlines()
                line = lines[-1] if lines else f"ended with exit code {process.returncode}"
                console.say(f"mirror={tool}: {line}")
