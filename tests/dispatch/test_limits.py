"""The budget guard counts what was spent, and what is under way, before it lets the next run begin."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from scaling.dispatch.claims.claim import acquire
from scaling.dispatch.dispatches import new_dispatch, queued_elsewhere
from scaling.dispatch.launchers import Local, Slurm
from scaling.dispatch.limits import Offer, check_again, offer_of
from scaling.dispatch.local.run import promised
from scaling.dispatch.order import Order, entries, order_of
from scaling.dispatch.process import Process
from scaling.dispatch.queue import write_queue
from scaling.dispatch.spent import Spent, beyond, spent
from scaling.dispatch.states.attempts import PastAttempt, iso
from scaling.dispatch.states.settled import SettledRuns, supersede
from scaling.errors import UserError
from scaling.folders import write_atomically
from scaling.forecast.estimate import Forecast, Forecasts
from scaling.limits import UNLIMITED, Limits
from tests.dispatch.stand_in import planned, write_stand_in_record


def forecasts(runs) -> Forecasts:
    return Forecasts({run.run_id: Forecast(1800.0, 0, "cpu", "") for run in runs})


@pytest.fixture
def queue(folder):
    runs = [planned(seed) for seed in range(4)]
    return entries(folder, runs, SettledRuns(folder), forecasts(runs))


def offer(limits, folder, queue, **how):
    return offer_of(Order(folder, tuple(queue), SettledRuns(folder), limits), **how)


def settle(folder, entry, gpu_seconds):
    files = folder.run(entry.run_id)
    write_stand_in_record(files)
    PastAttempt(iso(0), iso(1), "n1", "1", "finished", gpu_seconds, gpu_seconds).append(files)


def test_spent_counts_attempts_records_and_runs_in_flight(folder, queue):
    settle(folder, queue[0], 3600.0)
    held = acquire(folder.run(queue[1].run_id).claim, gpus=1)
    so_far = spent(folder, queue, gpus=1)
    assert so_far.gpu_hours == pytest.approx(1.5)  # an hour spent, half an hour forecast
    assert so_far.flops == 2 * queue[0].C
    assert spent(folder, queue, gpus=1, flying=False).flops == queue[0].C
    held.release()


def test_hours_of_gpus_are_a_limit(folder, queue):
    settle(folder, queue[0], 3600.0)
    so_far = spent(folder, queue, gpus=1)
    assert beyond(Limits(gpu_hours=1.5), so_far, queue[1], gpus=1) == ""
    assert "1.4 GPU-hours is reached (1 spent)" in beyond(Limits(gpu_hours=1.4), so_far, queue[1], gpus=1)
    assert beyond(Limits(gpu_hours=1.4), so_far, queue[1], gpus=0) == ""  # a run on the CPU holds none


def test_offer_keeps_what_is_paid_for(folder, queue):
    assert [len(offer(limits, folder, queue, gpus=1).queue) for limits in (UNLIMITED, Limits(gpu_hours=1.0))] == [4, 2]
    settle(folder, queue[0], 3600.0)
    offered = offer(Limits(gpu_hours=2.0), folder, queue, gpus=1)
    assert (len(offered.queue), offered.before.gpu_hours) == (2, 1.0)
    assert offered.held.startswith("1 of 4 runs are not started: the limit of 2 GPU-hours is reached")


def test_runs_in_jobs_already_are_paid_for_but_not_offered(folder, queue):
    covered = {queue[0].run_id, queue[1].run_id}
    offered = offer(Limits(flops=3.5 * queue[0].C), folder, queue, gpus=1, covered=covered)
    assert len(offered.queue) == 1
    assert not covered & {entry.run_id for entry in offered.queue}


def test_what_starts_from_weights_that_will_never_be_is_not_offered(folder, queue):
    parent, child, grandchild, other = (entry.run_id for entry in queue)
    queue[1:3] = [replace(queue[1], needs=(parent,), step=7), replace(queue[2], needs=(child,), step=7)]
    assert [len(offer(UNLIMITED, folder, queue, gpus=0).queue), offer(UNLIMITED, folder, queue, gpus=0).blocked] == [
        4,
        0,
    ]
    write_stand_in_record(folder.run(parent), status="diverged")
    offered = offer(UNLIMITED, folder, queue, gpus=0)
    assert ([entry.run_id for entry in offered.queue], offered.blocked) == ([other], 2)
    write_atomically(folder.run(parent).kept_weights(7), "")  # it diverged later
    assert [entry.run_id for entry in offer(UNLIMITED, folder, queue, gpus=0).queue] == [child, grandchild, other]


def test_runs_of_the_sweep_that_are_not_asked_for_now_count_against_the_limits(folder, queue):
    """As in the rounds of a tuning, or in a retry of some runs."""
    settle(folder, queue[0], 3600.0)
    lines = [f"{entry.run_id},seed,{entry.C}" for entry in queue]
    write_atomically(folder.plan, "\n".join(["run_id,overrides,C", *lines]) + "\n")
    runs = [planned(seed) for seed in range(4) if planned(seed).run_id != queue[0].run_id]
    asked = order_of(folder, runs, forecasts=forecasts(runs), limits=Limits(gpu_hours=2.0))
    offered = offer_of(asked, gpus=1)
    assert (len(offered.queue), offered.before.gpu_hours) == (2, 1.0)
    write_atomically(
        folder.plan, "\n".join(["run_id,overrides,C", *lines[1:]]) + "\n"
    )  # a narrower sweep of the same name
    write_queue(new_dispatch(folder).queue, queue[:1])
    asked = order_of(folder, runs, forecasts=forecasts(runs), limits=Limits(gpu_hours=2.0))
    offered = offer_of(asked, gpus=1)
    assert (len(offered.queue), offered.before.gpu_hours) == (2, 1.0)


def test_what_is_trained_again_on_request_is_bought_again(folder, queue):
    settle(folder, queue[0], 3600.0)
    assert spent(folder, queue, gpus=1) == Spent(1.0, queue[0].C)
    supersede(folder.run(queue[0].run_id))
    assert spent(folder, queue, gpus=1) == Spent(1.0, queue[0].C)
    settle(folder, queue[0], 1800.0)
    assert spent(folder, queue, gpus=1) == Spent(1.5, 2 * queue[0].C)


def test_records_are_not_put_aside_for_runs_that_would_not_be_started(folder, queue):
    settle(folder, queue[0], 3600.0)
    order = Order(folder, tuple(queue), SettledRuns(folder), Limits(flops=1.5 * queue[0].C))
    check_again(order, {})
    with pytest.raises(UserError, match=r"to train again, but the limit of .* FLOPs is reached"):
        check_again(order, {queue[0].run_id})
    check_again(replace(order, limits=Limits(flops=2.0 * queue[0].C)), {queue[0].run_id})


def test_what_another_dispatch_is_to_train_is_paid_for(folder, queue):
    """Two commands at a time, of different parts of a sweep."""
    lines = [f"{entry.run_id},seed,{entry.C}" for entry in queue]
    write_atomically(folder.plan, "\n".join(["run_id,overrides,C", *lines]) + "\n")
    other = new_dispatch(folder)
    write_queue(other.queue, queue[:2])
    other.write(replace(other.begin(Local(), Offer(tuple(queue[:2])), UNLIMITED), process=Process("?", "?", 1, 1)))
    assert queued_elsewhere(folder) == {entry.run_id for entry in queue[:2]}
    runs = [planned(seed) for seed in range(4) if planned(seed).run_id in {entry.run_id for entry in queue[2:]}]
    asked = order_of(folder, runs, limits=Limits(flops=3 * queue[0].C))
    assert len(offer_of(asked, gpus=1).queue) == 2
    offered = offer_of(asked, gpus=1, promised=queued_elsewhere(folder))
    assert len(offered.queue) == 1
    settle(folder, queue[0], 1.0)  # paid for once
    assert len(offer_of(asked, gpus=1, promised=queued_elsewhere(folder)).queue) == 1
    other.write(replace(other.read(), ended=True))
    assert queued_elsewhere(folder) == set()


@pytest.mark.parametrize(("queued", "covered"), [({}, 0), ({"7_0": "PENDING"}, 2), (None, 2)])
def test_what_jobs_of_a_scheduler_are_to_train_is_paid_for_here_too(folder, queue, monkeypatch, queued, covered):
    other = new_dispatch(folder)
    write_queue(other.queue, queue[:2])
    other.write(replace(other.begin(Slurm(), Offer(tuple(queue[:2])), UNLIMITED), jobs=("7",)))
    launcher = SimpleNamespace(job_states=lambda dispatches: queued)
    monkeypatch.setattr("scaling.dispatch.local.run.launcher_of_dispatch", lambda dispatch: launcher)
    assert promised(folder) == {entry.run_id for entry in queue[:covered]}
    other.write(replace(other.read(), ended=True))
    assert promised(folder) == set()
