"""Settings of SLURM that are refused when jobs are to be submitted, and those of earlier dispatches, which are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaling.dispatch.control.cancel import cancel
from scaling.dispatch.dispatches import dispatches, new_dispatch
from scaling.dispatch.launcher import launcher_of, launcher_of_dispatch
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.limits import Offer
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.limits import UNLIMITED


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"time": 5}, "found time in launcher.extra; .* give launcher.minutes"),
        ({"cpus_per_task": 4}, "found cpus-per-task in launcher.extra; .* give launcher.cpus"),
        ({"array": "1-3"}, "found array in launcher.extra; .* drop it"),
        ({"wait": True}, "found wait in launcher.extra; .* give --wait to `scaling run`"),
    ],
)
def test_an_option_that_is_set_elsewhere_is_refused_before_anything_is_submitted(extra, said, tmp_path):
    settings = Slurm(extra=extra)
    with pytest.raises(UserError, match=said):
        launcher_of(settings).check([])
    launcher_of_dispatch(new_dispatch(SweepFolder(tmp_path, "a")).begin(settings, Offer(()), UNLIMITED))


def test_cancelling_what_has_ended_asks_nobody(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    squeue, folder = tmp_path / "squeue", SweepFolder(tmp_path / "results", "a")
    squeue.write_text("#!/bin/sh\necho 'JOBID|STATE|REASON|NAME|COMMAND'\n")  # no job is left
    squeue.chmod(0o755)
    made = new_dispatch(folder)
    made.write(replace(made.begin(Slurm(), Offer(()), UNLIMITED), jobs=("7",)))
    assert (cancel(folder).dispatches, cancel(folder).jobs) == ((), ())
    assert [dispatch.ended for _, dispatch in dispatches(folder)] == [True]
