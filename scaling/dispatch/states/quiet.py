"""Find running runs whose worker has had no heartbeat for some time: its node may have crashed."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from scaling.dispatch.claims.claim import PERIODS, read_claim
from scaling.dispatch.claims.server_clock import age
from scaling.dispatch.states.state import RunState, State
from scaling.folders import SweepFolder

QUIET = 120.0  # seconds: SLURM needs some minutes to notice that a node is gone
NAMED = 5


def quiet_words(folder: SweepFolder, runs: Iterable[RunState]) -> Iterator[str]:
    """Yield sentences on runs without a recent heartbeat, with the time of the last one."""
    quiet = list(_quiet(folder, runs))
    yield from quiet[:NAMED]
    if len(quiet) > NAMED:
        yield f"and {len(quiet) - NAMED} more runs alike"


def _quiet(folder: SweepFolder, runs: Iterable[RunState]) -> Iterator[str]:
    for run in runs:
        if run.state is not State.RUNNING:
            continue
        try:
            path = folder.run(run.run_id).claim
            silence = age(path)
            claim = read_claim(path) if silence > QUIET else None
        except OSError:
            continue
        if claim is not None and silence > PERIODS * claim.period:
            since = time.strftime("%H:%M:%S", time.localtime(time.time() - silence))
            where = f"job {run.job} on {run.host}" if run.job else f"a worker on {run.host}"
            yield (
                f"run {run.run_id} has had no heartbeat since {since} ({where}): it is stopped, or its node or "
                f"the file server is down; another worker continues it once that is certain"
            )
