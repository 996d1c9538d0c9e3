"""Whatever is done to a sweep in flight, its table ends the same, no run is trained twice, and none is lost.

All sweeps are in flight together, since most of their time is waiting; each test then looks at its own.
"""

from __future__ import annotations

import os
import signal

import pytest

from scaling.dispatch.launchers import Local
from tests.dispatch.conftest import at_work, causes, leftovers, order, run_quietly, trained
from tests.slurm.sweeps import ended, sweep, tool
from tests.waiting import wait_for

RUNS = 6


def undisturbed(flight):
    flight.submit()
    yield


def worker_killed(flight):
    flight.submit()
    yield
    claim = flight.working()
    os.kill(claim.process.pid, signal.SIGKILL)
    ended(claim)


def element_cancelled(flight):
    flight.submit()
    yield
    claim = flight.working()
    tool("scancel", claim.job)
    ended(claim)


def job_requeued(flight):
    flight.submit()
    yield
    claim = flight.working()
    tool("scontrol", "requeue", claim.job)
    ended(claim)


def submitter_killed(flight):
    submitter = flight.submit_elsewhere()
    yield
    assert submitter.stdout.readline() == "submitted\n"
    submitter.kill()
    submitter.wait()


def two_submitters(flight):
    first, second = flight.submit_elsewhere(), flight.submit_elsewhere()
    yield
    for submitter in (first, second):
        assert submitter.stdout.readline() == "submitted\n"
        submitter.kill()
        submitter.wait()


def files_cut(flight):
    flight.submit()
    yield
    flight.working()
    first = at_work(flight.folder, flight.runs)[0]
    flight.open(first)
    wait_for(lambda: flight.settled() and not flight.files(first).claim.exists())
    cut = flight.files(first)
    cut.record.write_bytes(cut.record.read_bytes()[:40])
    claim = flight.working()
    os.kill(claim.process.pid, signal.SIGKILL)
    ended(claim)
    for run in flight.runs:
        if flight.files(run).checkpoint.exists():
            flight.files(run).checkpoint.write_bytes(b"\x80\x02half")


def everything_cancelled_by_hand(flight):
    submission = flight.submit()
    yield
    flight.working()
    tool("scancel", *submission.job_ids)
    wait_for(lambda: not flight.claims())
    flight.submit()


FAULTS = [
    undisturbed, worker_killed, element_cancelled, job_requeued,
    submitter_killed, two_submitters, files_cut, everything_cancelled_by_hand,
]  # fmt: skip


@pytest.fixture(scope="module")
def flights(cluster, tmp_path_factory):
    """Send all sweeps off, strike each of them while it is held, let it go on, wait until the last job has ended."""
    made = {fault.__name__: sweep(tmp_path_factory.mktemp(fault.__name__), RUNS, "hold") for fault in FAULTS}
    strikes = {name: fault(made[name]) for name, fault in zip(made, FAULTS, strict=True)}
    for strike in strikes.values():
        next(strike)
    for name, strike in strikes.items():
        next(strike, None)
        made[name].open()
    made["undisturbed"].landed()
    return made


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    flight = sweep(tmp_path_factory.mktemp("expected"), RUNS, "steps")
    run_quietly(order(flight.folder, flight.runs), Local(workers=2))
    return flight.records()


@pytest.mark.parametrize("name", [fault.__name__ for fault in FAULTS])
def test_same_table_nothing_twice_nothing_lost(flights, expected, name):
    flight = flights[name]
    assert flight.records() == expected
    times = [len(trained(flight.folder, run)) for run in flight.runs]
    assert sum(times) == RUNS + (name == "files_cut")
    assert set(times) <= {1, 2}
    assert leftovers(flight.folder) == []
    assert flight.status().counts["finished"] == RUNS


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("worker_killed", "killed"),
        ("element_cancelled", "cancelled"),
        ("job_requeued", "requeued"),
        ("everything_cancelled_by_hand", "cancelled"),
    ],
)
def test_attempts_tell_what_happened(flights, name, cause):
    flight = flights[name]
    told = [causes(flight.folder, run) for run in flight.runs]
    struck = [each for each in told if each != ["finished"]]
    assert struck
    assert all(each == [cause, "finished"] for each in struck)


def test_struck_runs_continue_from_their_checkpoint(flights):
    flight = flights["worker_killed"]
    assert any(line["from"] > 0 for run in flight.runs for line in trained(flight.folder, run))


def test_record_cut_in_half_is_kept_aside(flights):
    assert len(list(flights["files_cut"].folder.results.glob("runs/*/record.json.broken1"))) == 1
