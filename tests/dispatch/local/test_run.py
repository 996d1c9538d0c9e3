"""Many runs on this machine: all of them are settled once, whatever is done to the workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from scaling import devices
from scaling.dispatch.dispatches import dispatches
from scaling.dispatch.launchers import Local
from scaling.dispatch.limits import Offer
from scaling.dispatch.local.capacity import gpus_for, workers_for
from scaling.dispatch.local.forkserver import fork_server
from scaling.dispatch.local.jobs import Workers
from scaling.dispatch.local.pool import start_ahead
from scaling.dispatch.local.run import run_local
from scaling.dispatch.process import start_time
from scaling.dispatch.show import print_outcome, view
from scaling.errors import UserError
from scaling.limits import UNLIMITED, Limits
from scaling.terminal_table import Terminal
from tests.dispatch.conftest import (
    STAND_IN,
    causes,
    claims,
    leftovers,
    meanwhile,
    open_gates,
    order,
    run_quietly,
    trained,
    under_way,
)
from tests.dispatch.stand_in import planned
from tests.waiting import wait_for

HERE = Path(__file__).parents[3]
LAUNCHER = Local(workers=2, beat_seconds=0.2)


def run(folder, runs, launcher=LAUNCHER, *, limits=UNLIMITED):
    return run_quietly(order(folder, runs, limits=limits), launcher)


def test_each_run_is_trained_once(folder):
    runs = [planned(seed) for seed in range(20)]
    outcome = run(folder, runs)
    assert (outcome.runs, outcome.settled, outcome.found, outcome.exit_code) == (20, 20, 0, 0)
    assert [len(trained(folder, each)) for each in runs] == [1] * 20
    assert [causes(folder, each) for each in runs] == [["finished"]] * 20
    assert leftovers(folder) == []
    workers = {line["pid"] for each in runs for line in trained(folder, each)}
    assert len(workers) <= 2
    [(_, dispatch)] = dispatches(folder)
    assert dispatch.ended


def test_same_command_again_trains_nothing(folder):
    runs = [planned(seed) for seed in range(3)]
    run(folder, runs)
    outcome = run(folder, [*runs, planned(3)])
    assert (outcome.settled, outcome.found) == (4, 3)
    assert [len(trained(folder, each)) for each in runs] == [1] * 3
    run(folder, runs)
    assert len(dispatches(folder)) == 2  # the last one had nothing to start workers for


def test_failed_runs_do_not_stop_the_others(folder):
    acts = {"crash": "crashed", "memory": "out_of_memory", "refuse": "refused", "die": "killed"}
    bad = {act: planned(100 + number, act) for number, act in enumerate(acts)}
    good = [planned(seed) for seed in range(6)] + [planned(50, "diverge")]
    outcome = run(folder, [*bad.values(), *good])
    assert outcome.settled == len(good)
    assert {failure.run_id: failure.cause for failure in outcome.failures} == {
        bad[act].run_id: cause for act, cause in acts.items()
    }
    assert outcome.exit_code == 1
    [crash] = [json.loads(line) for line in folder.run(bad["crash"].run_id).attempts.read_text().splitlines()]
    assert crash["error"] == "ValueError: the weights have left the building"
    assert "Traceback" in crash["traceback"]
    assert causes(folder, bad["die"]) == ["killed"] * 3
    assert causes(folder, good[-1]) == ["diverged"]


def test_failed_runs_are_tried_again_by_the_same_command(folder):
    crash = planned(1, "crash")
    run(folder, [crash], Local(workers=1, retries=1))
    assert causes(folder, crash) == ["crashed"] * 2
    run(folder, [crash], Local(workers=1, retries=0))
    assert causes(folder, crash) == ["crashed"] * 3


def test_killed_worker_is_replaced_and_its_run_continued(folder):
    held = planned(0, "hold")

    def strike():
        claim = under_way(folder, [held])
        os.kill(claim.process.pid, signal.SIGKILL)
        folder.run(held.run_id).path.joinpath(f".record.json.here.{claim.process.pid}.1").write_text("half a rec")
        open_gates(folder, [held])

    with meanwhile(strike):
        outcome = run(folder, [held], Local(workers=1, beat_seconds=0.1))
    assert outcome.settled == 1
    assert causes(folder, held) == ["killed", "finished"]
    [line] = trained(folder, held)
    assert line["from"] > 0
    assert leftovers(folder) == []


def test_record_cut_in_half_is_set_aside_and_the_run_done_again(folder):
    runs = [planned(seed) for seed in range(2)]
    run(folder, runs)
    files = folder.run(runs[0].run_id)
    whole = files.record.read_bytes()
    files.record.write_bytes(whole[: len(whole) // 2])
    outcome = run(folder, runs)
    assert (outcome.settled, outcome.found) == (2, 1)
    assert json.loads(files.record.read_bytes())["points"] == json.loads(whole)["points"]
    assert files.record.with_name("record.json.broken1").read_bytes() == whole[: len(whole) // 2]
    assert [len(trained(folder, each)) for each in runs] == [2, 1]


SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
from scaling.terminal_table import Terminal
from scaling.dispatch.launchers import Local
from scaling.dispatch.local.run import run_local
from scaling.dispatch.order import order_of
from scaling.dispatch.show import print_outcome, view
from scaling.folders import SweepFolder
from tests.dispatch.stand_in import planned

console = Terminal()
runs = [planned(seed, sys.argv[2]) for seed in range(int(sys.argv[3]))]
folder = SweepFolder(Path(sys.argv[1]), "sweep")
launcher = Local(workers=2, beat_seconds=0.2)
order = replace(order_of(folder, runs), train="tests.dispatch.stand_in:train")
outcome = run_local(order, launcher, view(console))
print_outcome(console, outcome, again="the same command")
sys.exit(outcome.exit_code)
"""


def dispatcher(folder, act, count):
    command = [sys.executable, "-c", SCRIPT, str(folder.results), act, str(count)]
    return subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_two_dispatchers_never_train_a_run_twice(folder):
    runs = [planned(seed, "hold") for seed in range(40)]
    first, second = dispatcher(folder, "hold", 40), dispatcher(folder, "hold", 40)
    under_way(folder, runs, 4)
    open_gates(folder, runs)
    assert (first.wait(120), second.wait(120)) == (0, 0)
    assert [len(trained(folder, each)) for each in runs] == [1] * 40
    assert leftovers(folder) == []
    assert len({line["pid"] for each in runs for line in trained(folder, each)}) == 4


def test_interrupt_writes_checkpoints_and_says_how_to_go_on(folder):
    runs = [planned(seed, "hold") for seed in range(2)]
    started = dispatcher(folder, "hold", 2)
    under_way(folder, runs, 2)
    workers = [claim.process.pid for claim in claims(folder)]
    started.send_signal(signal.SIGINT)
    said, _ = started.communicate(timeout=120)
    assert started.returncode == 130
    assert "to continue: the same command" in said
    assert not any(start_time(pid) for pid in workers)
    assert [causes(folder, each) for each in runs] == [["interrupted"]] * 2
    assert all(folder.run(each.run_id).checkpoint.exists() for each in runs)
    assert leftovers(folder) == []


def test_workers_end_when_their_dispatcher_is_killed(folder):
    started = dispatcher(folder, "hold", 2)
    under_way(folder, [planned(seed, "hold") for seed in range(2)], 2)
    workers = [claim.process.pid for claim in claims(folder)]
    started.kill()
    started.wait()
    wait_for(lambda: not any(start_time(pid) for pid in workers))
    assert leftovers(folder) == []


def test_gpus_are_assigned_and_never_hidden(folder, monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: ("2", "5"))
    runs = [planned(seed, "hold", device="auto") for seed in range(6)]
    with meanwhile(lambda: (under_way(folder, runs, 2), open_gates(folder, runs))):
        run(folder, runs, Local())
    facts = [line for each in runs for line in trained(folder, each)]
    assert {line["gpu"] for line in facts} == {"2", "5"}
    assert len({(line["pid"], line["gpu"]) for line in facts}) == 2


@pytest.mark.slow
def test_threads_are_set_before_python_starts(folder, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    each = planned(0)
    run(folder, [each], Local(workers=1, threads=2))
    [line] = trained(folder, each)
    assert (line["threads"], line["gpu"]) == ("2", None)


def test_a_gpu_named_by_its_number_is_one_of_those_that_its_worker_sees(monkeypatch):
    monkeypatch.setattr(devices, "gpus", lambda: ("2", "5"))
    assert gpus_for({"auto", "cpu"}) == ("2", "5")
    assert gpus_for({"cuda:1"}) == ("2,5",)
    assert gpus_for({"cpu"}) == ()


def test_number_of_workers():
    assert workers_for(Local(), gpus=4) == 4
    assert workers_for(Local(workers=3), gpus=4) == 3
    assert workers_for(Local(), gpus=0) == devices.cores()
    assert workers_for(Local(threads=devices.cores()), gpus=0) == 1
    assert workers_for(Local(workers=8), gpus=0, most=2) == 2


def test_limit_of_flops_is_kept(folder):
    runs = [planned(seed) for seed in range(6)]
    C = runs[0].quantities.C
    outcome = run(folder, runs, limits=Limits(flops=3.5 * C))
    assert outcome.settled == 3
    assert "3 of 6 runs are not started: the limit of" in outcome.held
    again = run(folder, runs, limits=Limits(flops=3.5 * C))
    assert (again.settled, again.found) == (3, 3)
    assert run(folder, runs).settled == 6


def test_full_disk_is_one_sentence(folder):
    with pytest.raises(UserError, match="found no space left") as caught:
        run(folder, [planned(0, "full"), planned(1)], Local(workers=1))
    assert "\n" not in str(caught.value)
    assert leftovers(folder) == []


@pytest.mark.skipif(os.geteuid() == 0 and not Path("/proc/self").exists(), reason="needs /proc")
def test_a_dispatch_that_ends_before_its_workers_have_a_queue_leaves_nothing(folder):
    """As where the reader of its output has gone: `scaling run … | head -1`."""
    shown = view(Terminal(file=StringIO()))

    def gone(sentence):
        raise SystemExit(1)

    shown.say = gone
    with pytest.raises(SystemExit):
        run_local(order(folder, [planned(0)]), Local(workers=1), shown)
    assert list(folder.jobs.iterdir()) == []


def test_unwritable_results_is_one_sentence(tmp_path):
    from scaling.folders import SweepFolder

    with pytest.raises(UserError, match="cannot be written"):
        run(SweepFolder(Path("/proc/self"), "sweep"), [planned(0)])


@pytest.mark.slow
def test_plain_lines_do_not_flood(folder):
    console = Terminal(file=StringIO(), width=80)
    runs = [*(planned(seed) for seed in range(50)), planned(99, "crash")]
    outcome = run_local(order(folder, runs), LAUNCHER, view(console))
    print_outcome(console, outcome, again="scaling run")
    said = console.file.getvalue()
    assert len(said.splitlines()) < 12
    assert "50/51 settled" in said
    assert "(seed=99 act=crash): crashed: ValueError: the weights have left the building; its log: scaling" in said


@pytest.mark.slow
def test_live_view_on_a_terminal(folder):
    console = Terminal(file=StringIO(), force_terminal=True, width=120)
    runs = [planned(seed, "hold") for seed in range(2)]

    def look() -> None:
        wait_for(lambda: "step 3 of 10" in console.file.getvalue())  # a run under way
        open_gates(folder, runs)

    with meanwhile(look):
        run_local(order(folder, runs), LAUNCHER, view(console))
    assert "loss 1.8" in console.file.getvalue()


@pytest.mark.slow
def test_workers_are_submitit_jobs(folder):
    executor = Workers(folder.jobs, fork_server(STAND_IN, 1), {})
    assert executor.submit(os.getpid).result() != os.getpid()


def test_runs_wait_for_those_that_they_need(folder):
    """A child starts after its parent, whichever worker has that; a child of a failed parent is left, and told."""
    parent, child, bad, orphan = planned(0, "hold"), planned(1), planned(2, "crash"), planned(3)
    needs = {child.run_id: (parent.run_id,), orphan.run_id: (bad.run_id,)}
    asked = order(folder, [parent, child, bad, orphan])
    queue = tuple(replace(entry, needs=needs.get(entry.run_id, ())) for entry in asked.entries)
    pool = start_ahead(asked, LAUNCHER, most=len(queue))
    pool.give(Offer(queue), Limits())
    under_way(folder, [parent])
    wait_for(lambda: causes(folder, bad))  # by the other worker, which has passed the child by
    assert not folder.run(child.run_id).claim.exists()
    open_gates(folder, [parent])
    wait_for(lambda: all(job.done() for job in pool.jobs))
    pool.close()
    assert [causes(folder, run) for run in (parent, child, bad, orphan)] == [
        ["finished"],
        ["finished"],
        ["crashed"],
        [],
    ]
    [facts] = trained(folder, child)
    assert parent.run_id in facts["found"]  # its record, not the end of its attempt, which is written down after it
