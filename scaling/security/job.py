"""How a job begins: it looks whether what it was told is its owner's alone, then lets submitit run it.

Run: python -m scaling.security.job FOLDER, inside a job of submitit's.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from submitit.core.job_environment import JobEnvironment
from submitit.core.submission import process_job

from scaling.errors import UserError
from scaling.security.rights import check_own, kept_to_oneself

PATIENCE = 60.0  # seconds until a pickle, which is written after its job was accepted, has to be there
LOOK = 0.1


def run_job(folder: str) -> None:
    """Run the job of this process; UserError where others have written what it would do, or may."""
    os.environ["SUBMITIT_FOLDER"] = folder
    pickle = JobEnvironment().paths.submitted_pickle
    until = time.monotonic() + PATIENCE
    while not pickle.exists() and time.monotonic() < until:
        time.sleep(LOOK)
    check_own(Path(folder))
    check_own(pickle)
    with kept_to_oneself():
        process_job(folder)


if __name__ == "__main__":
    try:
        run_job(sys.argv[1])
    except UserError as error:
        sys.exit(f"error: {error}")
