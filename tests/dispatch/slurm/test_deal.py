"""Dealing: every run is in one share, the shares are few, and their time limits hold what they were dealt."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.dispatch.launchers import Slurm
from scaling.dispatch.queue import Entry
from scaling.dispatch.slurm.cluster import Cluster, Partition
from scaling.dispatch.slurm.deal import deal, memory_class
from scaling.dispatch.slurm.scheduler import cause_of_death, cause_of_end, minutes


def entry(number, seconds):
    return Entry(run_id=f"{number:012x}", C=1.0, forecast_seconds=seconds)


@settings(max_examples=60)
@given(
    seconds=st.lists(st.one_of(st.none(), st.floats(0.1, 2e5)), min_size=1, max_size=60),
    gigabytes=st.floats(0.1, 80),
    max_jobs=st.integers(1, 8),
)
def test_each_run_in_one_hand_that_lasts_for_it(seconds, gigabytes, max_jobs):
    queue = [entry(number, value) for number, value in enumerate(seconds)]
    memory = {each.run_id: gigabytes * 1e9 for each in queue[::2]}
    launcher = Slurm(max_jobs=max_jobs)
    dealt = deal(queue, launcher, memory=memory)
    assert [each.run_id for each in dealt.queue] == [each.run_id for each in queue]
    assert sum(share.runs for share in dealt.shares) == len(queue)
    for share in dealt.shares:
        mine = [each for each in dealt.queue if each.group == share.group]
        assert 1 <= share.jobs <= min(max_jobs, len(mine))
        longest = max(each.forecast_seconds or 60 for each in mine)
        assert share.minutes * 60 >= longest * 1.5 + launcher.signal_seconds
        assert share.minutes >= launcher.min_minutes
        assert share.memory_gb * 1e9 >= max(memory.get(each.run_id, 0) for each in mine)


def test_thousand_short_runs_are_few_jobs_and_long_ones_their_own():
    queue = [entry(number, 30.0) for number in range(1000)] + [entry(5000, 6 * 3600.0)]
    shares = deal(queue, Slurm()).shares
    assert [(share.group, share.jobs, share.runs) for share in shares] == [("4GB", 9, 1000), ("4GB-8h", 1, 1)]
    assert shares[0].minutes == pytest.approx(30 * 1000 / 9 / 60 * 1.5 + 3, abs=1)


def test_a_share_is_told_in_one_line():
    [share] = deal([entry(0, 90.0)], Slurm()).shares
    assert share.title == "4GB: 1 run, 1 min 30 s forecast, 1 job of 15 min and 4 GB"


def test_what_is_set_is_kept_and_the_partition_bounds_it():
    queue = [entry(number, 3000.0) for number in range(4)]
    [share] = deal(queue, Slurm(jobs=2, minutes=50, memory_gb=7)).shares
    assert (share.jobs, share.minutes, share.memory_gb) == (2, 50, 7)
    [share] = deal(queue, Slurm(jobs=2), limit=20.0).shares
    assert share.minutes == 20


def test_memory_comes_in_powers_of_two():
    assert [memory_class(gb * 1e9, 4.0) for gb in (0, 1, 2.6, 2.7, 10, 40)] == [4, 4, 4, 8, 16, 64]
    assert memory_class(None, 4.0) == 4.0


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("30:00", 30), ("1:00:00", 60), ("2-12:00:00", 3600), ("infinite", None), ("0:30", 0.5), ("n/a", None)],
)
def test_time_limits_as_slurm_writes_them(limit, expected):
    assert minutes(limit) == expected


def test_limit_of_several_partitions_is_the_shortest():
    def one(name, limit, default=False):
        return Partition(name, default, limit, nodes=1, cpus=1, memory_gb=1.0, gpus="")

    cluster = Cluster("22.05", (one("a", 60.0, default=True), one("b", 30.0), one("c", None)), 1001, False)
    assert [cluster.limit(name) for name in (None, "b", "c", "a,b", "b,c")] == [60.0, 30.0, None, 30.0, 30.0]


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ("CANCELLED AT 2026-11-23T16:01:18 ***", "cancelled"),
        ("CANCELLED AT 2026-11-23T16:01:18 DUE TO PREEMPTION ***", "preempted"),
        ("CANCELLED AT 2026-11-23T16:01:18 DUE TO JOB REQUEUE ***", "requeued"),
        ("CANCELLED AT 2026-11-23T16:01:18 DUE TO TIME LIMIT ***", "timed_out"),
        ("CANCELLED AT 2026-11-23T16:01:18 DUE TO NODE FAILURE, SEE SLURMCTLD LOG FOR DETAILS ***", "node_lost"),
        ("was fine", ""),
    ],
)
def test_why_slurm_ends_a_job(tmp_path, words, cause):
    log = tmp_path / "log.err"
    log.write_text(f"Loss 0.3\nslurmstepd-n1: error: *** JOB 55 ON n1 {words}\n")
    assert cause_of_end(log) == cause
    assert cause_of_end(tmp_path / "none") == ""
    end = datetime.fromisoformat("2026-11-23T16:01:18").timestamp()
    assert cause_of_end(log, since=end - 60) == cause
    assert cause_of_end(log, since=end + 60) == ""  # of an earlier life


@pytest.mark.parametrize(
    "words",
    [
        "Detected 1 oom_kill event in StepId=7.batch. Some of the step tasks have been OOM Killed.",
        "Detected 1 oom-kill event(s) in StepId=7.batch. Some of your processes may have been killed by the cgroup "
        "out-of-memory handler.",
        "StepId=7.batch exceeded memory limit (954937344 > 524288000), being killed",
    ],
)
def test_a_job_that_had_no_more_memory_says_so_where_nothing_is_accounted(tmp_path, monkeypatch, words):
    monkeypatch.setenv("PATH", str(tmp_path))
    log = tmp_path / "1" / "7_3_0_log.err"
    log.parent.mkdir()
    log.write_text(f"slurmstepd: error: {words}\n")
    assert cause_of_death(tmp_path, "7_3", 0.0) == "out_of_memory"
    log.write_text("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-23T16:01:18 DUE TO TIME LIMIT ***")
    assert cause_of_death(tmp_path, "7_3", 0.0) == "timed_out"
    assert cause_of_death(tmp_path, "7_4", 0.0) == ""
