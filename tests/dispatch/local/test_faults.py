"""One bad run costs its own run alone, and runs that were not trained never exit with 0."""

from __future__ import annotations

import shutil
from dataclasses import replace
from io import StringIO

import pytest

from scaling.dispatch.launchers import Local
from scaling.dispatch.local import supervisor
from scaling.dispatch.local.run import run_local
from scaling.dispatch.show import view
from scaling.dispatch.states.attempts import FRUITLESS_TRIES, failed_for_good
from scaling.dispatch.states.outcome import Outcome
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.forecast.estimate import Forecast, Forecasts
from scaling.terminal_table import Terminal
from tests.dispatch.conftest import causes, leftovers, meanwhile, open_gates, order, run_quietly, trained, under_way
from tests.dispatch.stand_in import HELD, planned, read_checkpoint
from tests.waiting import wait_for

QUICK = Local(workers=1, beat_seconds=0.1)


def settled(folder, runs) -> list[bool]:
    return [folder.run(run.run_id).record.exists() for run in runs]


def test_a_run_that_exits_fails_and_the_others_go_on(folder):
    runs = [planned(0, "exit"), planned(1), planned(2)]
    outcome = run_quietly(order(folder, runs), QUICK)
    assert settled(folder, runs) == [False, True, True]
    assert [(failure.cause, failure.error) for failure in outcome.failures] == [("crashed", "SystemExit")]
    assert outcome.exit_code == 1


@pytest.mark.parametrize(("act", "said"), [("keyboard", "KeyboardInterrupt"), ("odd", "Odd: no exception")])
def test_whatever_a_run_raises_is_its_own(folder, act, said):
    runs = [planned(0, act), planned(1)]
    outcome = run_quietly(order(folder, runs), QUICK)
    assert settled(folder, runs) == [False, True]
    assert [(failure.cause, failure.error) for failure in outcome.failures] == [("crashed", said)]


def test_a_worker_that_others_tell_to_leave_is_replaced(folder):
    runs = [planned(0, "leave"), planned(1)]
    outcome = run_quietly(order(folder, runs), QUICK)
    assert settled(folder, runs) == [True, True]
    assert outcome.exit_code == 0


def test_a_worker_whose_process_is_worn_is_replaced(folder):
    runs = [*(planned(seed, "wear") for seed in range(5)), planned(5)]
    outcome = run_quietly(order(folder, runs), QUICK)
    assert outcome.exit_code == 0
    pids = [trained(folder, run)[0]["pid"] for run in runs]
    assert len(set(pids)) >= 5  # however many: deaths are counted, these are none


@pytest.mark.slow
def test_several_runs_that_kill_their_workers_cost_no_others(folder):
    killers, others = [planned(seed, "die") for seed in range(3)], [planned(seed) for seed in range(3, 5)]
    outcome = run_quietly(order(folder, [*killers, *others]), QUICK)
    assert [len(trained(folder, run)) for run in others] == [1, 1]
    assert [causes(folder, run) for run in killers] == [["killed"] * 3] * 3
    assert (outcome.exit_code, len(outcome.failures)) == (1, 3)


@pytest.mark.slow
def test_files_that_a_server_does_not_give_for_a_moment_are_tried_again(folder):
    runs = [planned(0, "stale"), planned(1)]
    outcome = run_quietly(order(folder, runs), QUICK)
    assert outcome.exit_code == 0
    assert causes(folder, runs[0]) == ["file_error", "finished"]


def test_a_run_that_cannot_be_claimed_is_told_and_the_others_go_on(folder):
    runs = [planned(seed) for seed in range(3)]
    asked = order(folder, runs)
    first = asked.entries[0].run_id
    folder.run(first).path.parent.mkdir(parents=True)
    folder.run(first).path.write_text("no folder, and not to be made one")
    outcome = run_quietly(asked, QUICK)
    assert sum(settled(folder, runs)) == 2
    assert [(failure.run_id, failure.cause) for failure in outcome.failures] == [(first, "out_of_reach")]
    assert "Not a directory" in outcome.failures[0].error or "File exists" in outcome.failures[0].error
    assert outcome.exit_code == 1


def test_a_run_whose_attempts_cannot_be_read_is_told_and_the_others_go_on(folder):
    runs = [planned(seed) for seed in range(3)]
    folder.run(runs[0].run_id).attempts.mkdir(parents=True)
    outcome = run_quietly(order(folder, runs), QUICK)
    assert settled(folder, runs) == [False, True, True]
    assert [(failure.run_id, failure.cause) for failure in outcome.failures] == [(runs[0].run_id, "out_of_reach")]


@pytest.mark.slow
def test_a_run_that_kills_its_workers_goes_last_and_is_given_up(folder):
    killer, *others = runs = [planned(0, "die"), *(planned(seed) for seed in range(1, 5))]
    asked = order(folder, runs)
    asked = replace(asked, entries=tuple(sorted(asked.entries, key=lambda entry: entry.run_id != killer.run_id)))
    outcome = run_quietly(asked, QUICK)
    assert [len(trained(folder, run)) for run in others] == [1] * 4
    assert causes(folder, killer) == ["killed"] * 3
    assert outcome.exit_code == 1
    again = order(folder, runs)
    assert again.entries[-1].run_id == killer.run_id
    run_quietly(again, QUICK)
    assert causes(folder, killer) == ["killed"] * 4  # tried once more, for it was asked for, and no oftener


@pytest.mark.slow
def test_a_run_that_is_stuck_is_ended_and_counted(folder):
    stuck, other = planned(0, "stuck"), planned(1)
    forecasts = {run.run_id: Forecast(0.001, 0, "cpu", "") for run in (stuck, other)}
    settings = replace(QUICK, stuck_minutes=0.5 / 60)
    outcome = run_quietly(order(folder, [stuck, other], forecasts=Forecasts(forecasts)), settings)
    assert len(trained(folder, other)) == 1
    assert causes(folder, stuck) == ["killed"] * 3
    assert outcome.exit_code == 1
    assert leftovers(folder) == []


def test_free_causes_end_where_no_step_was_gained():
    lost = {"cause": "node_lost", "step": 3}
    assert failed_for_good([lost] * FRUITLESS_TRIES, retries=0)
    assert not failed_for_good([lost] * (FRUITLESS_TRIES - 1), retries=0)
    gained = [{**lost, "step": step} for step in range(FRUITLESS_TRIES)]
    assert not failed_for_good(gained, retries=0)
    cancelled = {"cause": "cancelled", "step": 3}
    assert not failed_for_good([cancelled] * 10, retries=0)


@pytest.mark.parametrize(
    ("found", "code"), [({}, 1), ({"held": "a limit"}, 0), ({"elsewhere": 2}, 0), ({"blocked": 2}, 1)]
)
def test_missing_runs_never_exit_with_0_without_a_reason(found, code):
    assert Outcome(runs=4, settled=2, found=0, **found).exit_code == code


def test_a_folder_of_jobs_that_is_removed_is_told(folder):
    runs = [planned(seed, "hold") for seed in range(2)]

    def remove() -> None:
        under_way(folder, runs, 1)
        shutil.rmtree(folder.jobs)

    with meanwhile(remove), pytest.raises(UserError, match="from which the workers take their runs, was removed"):
        run_quietly(order(folder, runs), QUICK)


def test_results_that_are_moved_end_the_dispatch_and_leave_nothing_at_the_old_place(folder):
    runs = [planned(seed, "hold") for seed in range(2)]
    elsewhere = folder.results.with_name("elsewhere")

    def move() -> None:
        wait_for(lambda: all(read_checkpoint(folder.run(run.run_id))[0] == HELD for run in runs))
        folder.results.rename(elsewhere)

    with meanwhile(move), pytest.raises(UserError, match="was moved or removed while its runs were trained"):
        run_quietly(order(folder, runs), replace(QUICK, workers=2))
    assert not folder.results.exists()
    moved = SweepFolder(elsewhere, folder.name)
    open_gates(moved, runs)
    assert run_quietly(order(moved, runs), QUICK).settled == 2
    assert all(trained(moved, run)[0]["from"] > 0 for run in runs), "the checkpoints were not gone on from"


def test_why_no_more_workers_are_started_is_said(folder, monkeypatch):
    monkeypatch.setattr(supervisor, "IN_A_ROW", 1)
    console = Terminal(file=StringIO(), width=1000)
    run_local(order(folder, [planned(seed, "die") for seed in range(2)]), QUICK, view(console))
    said = console.file.getvalue()
    assert "1 workers in a row died during their runs; no more are started; look into " in said
    assert "/*.err" in said
