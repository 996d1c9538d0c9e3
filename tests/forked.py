"""Functions called in a process of their own, forked from one that has imported torch: that spares a second."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from submitit import Job

from scaling.dispatch.local.forkserver import fork_server
from scaling.dispatch.local.jobs import Workers, process_of
from scaling.dispatch.order import TRAIN


def forked(folder: Path, function: Callable[..., Any], *arguments: Any) -> Job:
    """Return the job, when it has ended, that called a function; its files lie in the folder."""
    job = Workers(folder, fork_server(TRAIN, 1), {}).submit(function, *arguments)
    process_of(job).wait()
    return job
