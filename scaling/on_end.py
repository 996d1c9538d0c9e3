"""The user's own command at the end of a sweep, such as sending a message. Only `scaling run` starts it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping

PATIENCE = 300.0  # seconds that the command may take


def run_at_end(command: str, facts: Mapping[str, object]) -> str:
    """Run a shell command and return a sentence on how it ended; facts: in its environment, as SCALING_NAME=….

    Its errors are reported and have no effect, since the sweep has ended.
    """
    variables = {f"SCALING_{name.upper()}": str(value) for name, value in facts.items()}
    try:
        done = subprocess.run(
            command,
            shell=True,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"on_end: `{command}` was ended after {PATIENCE:g} s"
    return f"on_end: `{command}`" + ("" if done.returncode == 0 else f" failed with exit code {done.returncode}")
