"""The start of a job: it checks that only its owner can write its files, then lets submitit run it.

Run: python -m scaling.security.job FOLDER, inside a job of submitit's.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from submitit.core.job_environment import JobEnvironment
from submitit.core.submission import process_job

from scaling.errors import UserError
from scaling.security.rights import check_own_file, owner_only
from scaling.security.trouble import report_trouble, trouble_file

PATIENCE = 60.0  # seconds until a pickle, which is written after its job was accepted, has to be there
LOOK = 0.1


def run_job(folder: str) -> None:
    """Run the job of this process; UserError if other users have written its files, or may."""
    os.environ["SUBMITIT_FOLDER"] = folder
    pickle = JobEnvironment().paths.submitted_pickle
    until = time.monotonic() + PATIENCE
    while not pickle.exists() and time.monotonic() < until:
        time.sleep(LOOK)
    check_own_file(Path(folder))
    if not pickle.exists():
        raise UserError(
            f"found no {pickle}; wanted the work of this job, whose submission ended before it was written; give the "
            f"same command again"
        )
    check_own_file(pickle)
    try:
        with owner_only():
            process_job(folder)
    finally:
        for child in multiprocessing.active_children():  # started by users' code; Python would wait for their end
            child.kill()


def main(folder: str) -> None:
    """Run the job of this process, and record the error that ends it."""
    job = str(JobEnvironment().job_id)
    with suppress(OSError):  # from before a requeue
        trouble_file(Path(folder), job).unlink(missing_ok=True)
    try:
        run_job(folder)
    except UserError as error:
        report_trouble(Path(folder), job, [str(error)])
        sys.exit(f"error: {error}")
    except Exception as error:
        report_trouble(Path(folder), job, [f"{type(error).__name__}: {error}".splitlines()[0]])
        raise


if __name__ == "__main__":
    main(sys.argv[1])
