"""What the jobs of several arrays are told of each other, and what is left of a submission that fails."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from scaling.dispatch.dispatches import new_dispatch
from scaling.dispatch.launchers import Slurm
from scaling.dispatch.limits import offer_of
from scaling.dispatch.slurm import submit as module
from scaling.dispatch.slurm.deal import Deal, JobShare
from tests.dispatch.conftest import order
from tests.dispatch.stand_in import planned


def test_jobs_of_several_arrays_know_how_many_share_the_queue_and_have_places_of_their_own(folder, monkeypatch):
    """Else each would take the part of all jobs of its array alone, and the first of every array would meet."""
    made = []

    def executor_for(share, settings, dispatch, *, name, dependency, give):
        def submit_array(jobs):
            made.append((len(jobs), share.parallel, jobs[0].task.workers, jobs[0].task.place))
            give(Path("array.sh"))
            return [SimpleNamespace(job_id=f"{len(made)}_0")]

        return SimpleNamespace(submit_array=submit_array)

    monkeypatch.setattr(module, "executor_for", executor_for)
    monkeypatch.setattr(module, "submit_file", lambda file: str(len(made)))
    asked = order(folder, [planned(seed) for seed in range(3)])
    offer = offer_of(asked, gpus=0)
    share = JobShare("", 7, 3, 1.0, minutes=15, memory_gb=4.0, parallel=6)
    dealt, settings = Deal(offer.queue, (share,)), Slurm(snapshot=False)
    jobs = module.Submitter(asked, offer, dealt, new_dispatch(folder), settings, most=3).submit()
    assert jobs == {"": ("1", "2", "3", "4")}
    assert made == [(3, 2, 6, 0), (3, 2, 6, 2), (1, 2, 6, 4), (1, 1, 1, 0)]


def test_a_submission_that_is_interrupted_before_a_job_is_accepted_leaves_nothing(folder, monkeypatch):
    def interrupted(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "executor_for", interrupted)
    asked = order(folder, [planned(0)])
    dealt = Deal(offer_of(asked, gpus=0).queue, (JobShare("", 1, 1, 1.0, minutes=15, memory_gb=4.0),))
    made = new_dispatch(folder)
    with pytest.raises(KeyboardInterrupt):
        module.Submitter(asked, offer_of(asked, gpus=0), dealt, made, Slurm(snapshot=False), most=3).submit()
    assert not made.path.exists()
