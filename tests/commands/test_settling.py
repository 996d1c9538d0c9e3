"""What a command says about the jobs that it submits."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import pytest

from scaling.commands.settling import settle
from scaling.dispatch.dispatches import new_dispatch
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.limits import Offer
from scaling.folders import SweepFolder
from scaling.limits import UNLIMITED
from scaling.terminal_table import Terminal
from tests.dispatch.conftest import order
from tests.dispatch.stand_in import planned


class Interrupted:
    """A launcher whose user loses patience after its first jobs were accepted."""

    def __init__(self, *jobs):
        self.jobs = jobs

    def submit(self, asked, view):
        files = new_dispatch(asked.folder)
        files.write(replace(files.begin(Slurm(), Offer(()), UNLIMITED), jobs=self.jobs))
        raise KeyboardInterrupt


@pytest.mark.parametrize(("jobs", "said"), [(("7", "9"), "accepted before, and go on: 7 9; "), ((), "")])
def test_who_interrupts_a_submission_is_told_which_jobs_go_on(tmp_path, jobs, said):
    console = Terminal(file=StringIO(), width=1000)
    with pytest.raises(KeyboardInterrupt):
        settle(order(SweepFolder(tmp_path, "a"), [planned(0)]), Interrupted(*jobs), console=console, again="again")
    assert console.file.getvalue().startswith(said)
    assert ("scaling cancel" in console.file.getvalue()) == bool(jobs)
