"""Runs of one stack key are claimed one by one and trained together; what happens to one is its own."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import torch

from scaling.devices import HostMemory
from scaling.dispatch.claims.claim import Claim
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop
from scaling.dispatch.launchers import Local
from scaling.dispatch.order import order_of
from scaling.dispatch.queue import Entry, read_queue, write_queue
from scaling.dispatch.stacks.claim_stack import StackingWorker, Team
from scaling.dispatch.stacks.share import fair_share
from scaling.dispatch.states.attempts import STACK_DIED, Start, ended_attempt, largest_stack, read_attempts
from scaling.dispatch.task import Result, Task
from scaling.folders import SweepFolder
from scaling.forecast import stacks
from scaling.forecast.estimate import Forecasts
from scaling.forecast.work import stack_bytes
from scaling.limits import Limits
from scaling.record import read_record
from scaling.train.device import SHARE_FOR_STACKS, memory_for_stacks, torch_threads
from tests.dispatch.claimants import leave_claim
from tests.dispatch.conftest import run_quietly
from tests.dispatch.stacks.poison import BAD
from tests.train import runs
from tests.train.stacked.stacks import alone, losses, stacked
from tests.train.stacked.test_against_single import ROUNDING
from tests.waiting import Clock

runs.TARGETS["poisoned"] = "tests.dispatch.stacks.poison.Poisoned"
SIZED = {"is": "blobs", "size": 200}


def keys(seed: int, steps: int = 40, **more) -> dict:
    return {"train": {"steps": steps, "device": "cpu"}, "data": SIZED, "seed": seed, **more}


def worker_of(folder: SweepFolder, planned, *, stop: Stop | None = None, **facts) -> StackingWorker:
    stop, queue = stop or Stop(), folder.path / "queue.jsonl"
    write_queue(queue, order_of(folder, planned).entries)
    return StackingWorker(Task(folder, queue, **facts), stop=stop, heartbeat=Heartbeat(stop))


def causes(folder: SweepFolder, run) -> list[tuple[str, int]]:
    return [(tried["cause"], tried["stack"]) for tried in read_attempts(folder.run(run.run_id))]


def assert_time_is_divided(folder: SweepFolder, runs) -> None:
    """An attempt's GPU-seconds are those of the record, which are divided among the members, by the test's clock."""
    for run in runs:
        files = folder.run(run.run_id)
        [tried] = read_attempts(files)
        assert tried["gpu_seconds"]
        assert tried["gpu_seconds"] == pytest.approx(read_record(files).how["seconds"], abs=0.005)


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> None:
    monkeypatch.setattr(
        "scaling.train.stacked.clock.monotonic", Clock(pace=1e-3)
    )  # seconds a look: slower than the wall's


@pytest.fixture
def folder(tmp_path) -> SweepFolder:
    return SweepFolder(tmp_path / "results", "sweep")


def test_a_worker_trains_what_has_one_shape_together(folder, tmp_path):
    wide = {"is": "mlp", "width": 12, "depth": 1}
    same = [keys(0), keys(1, 20), keys(2, optim={"is": "adamw", "lr": 0.02, "weight_decay": 0.1})]
    other = [keys(0, model=wide), keys(0, train={"steps": 20, "engine": "eager", "device": "cpu"})]
    planned = [stacked(k) for k in (*same, other[0])] + [stacked(other[1], engine="eager")]
    worker = worker_of(folder, planned, gpus=1)
    assert worker.work().settled == 5
    assert [causes(folder, run) for run in planned] == [[("finished", 3)]] * 3 + [[("finished", 1)]] * 2
    for run, k in zip(planned[:3], same, strict=True):
        files = folder.run(run.run_id)
        assert losses(read_record(files)) == pytest.approx(losses(alone(k, tmp_path / "alone")), rel=ROUNDING)
        assert not files.claim.exists()
    assert_time_is_divided(folder, planned[:3])


@pytest.mark.slow
def test_stacks_of_several_shapes_are_trained_side_by_side_where_that_pays(folder, tmp_path, monkeypatch):
    """On a GPU; here the code that takes turns is the same. One that cannot be stacked disturbs no other."""
    monkeypatch.setitem(stacks.SIDE_BY_SIDE, "cpu", 3)
    wide = {"is": "mlp", "width": 12, "depth": 1}
    drawing = {"is": "custom", "module": "tests.train.nets.Noisy"}
    taken = [keys(seed, 30 + seed, model=model) for model in (wide, drawing, "mlp") for seed in range(2)]
    planned = [
        stacked(k) for k in (*taken, keys(2), keys(0, train={"steps": 20, "device": "cpu", "precision": "bf16"}))
    ]
    worker = worker_of(folder, planned, gpus=1)
    assert worker.work().settled == 8
    sizes = [2, 2, 1, 1, 3, 3, 3, 1]
    assert [causes(folder, run) for run in planned] == [[("finished", size)] for size in sizes]
    for run, k in zip(planned, [*taken, keys(2)], strict=False):
        record = read_record(folder.run(run.run_id))
        assert losses(record) == pytest.approx(losses(alone(k, tmp_path / "alone")), rel=ROUNDING)
    assert_time_is_divided(folder, [*planned[:2], *planned[4:7]])


def test_runs_that_no_other_joins_are_trained_side_by_side_too(folder, tmp_path, monkeypatch):
    """Each as a stack by itself; a user's module, which vmap makes slower, is trained alone."""
    monkeypatch.setitem(stacks.SIDE_BY_SIDE, "cpu", 3)
    seen, train = [], Team.train
    monkeypatch.setattr(Team, "train", lambda team: seen.append(sorted(team.left)) or train(team))
    models = [{"is": "mlp", "width": width, "depth": 1} for width in (8, 10, 12, 14)]
    taken = [keys(0, 30 + i, model=model) for i, model in enumerate(models)]
    own = keys(0, model={"is": "custom", "module": "tests.train.step.nets.Net"})
    planned = [stacked(k) for k in (*taken, own)]
    worker = worker_of(folder, planned, gpus=1)
    assert worker.work().settled == 5
    assert [len(ids) for ids in seen] == [3]  # then one run and the module, each alone
    assert [causes(folder, run) for run in planned] == [[("finished", 1)]] * 5
    for run, k in zip(planned, taken, strict=False):
        record = read_record(folder.run(run.run_id))
        assert losses(record) == pytest.approx(losses(alone(k, tmp_path / "alone")), rel=ROUNDING)
    assert_time_is_divided(folder, [run for run in planned if run.run_id in seen[0]])


def test_a_run_whose_worker_just_died_in_a_stack_is_trained_beside_no_other(folder, monkeypatch):
    monkeypatch.setitem(stacks.SIDE_BY_SIDE, "cpu", 3)
    planned = [stacked(keys(0, model={"is": "mlp", "width": width, "depth": 1})) for width in (12, 10, 8)]
    claim = folder.run(planned[1].run_id).claim
    leave_claim(claim)
    claim.write_bytes(replace(Claim.from_json(claim.read_bytes()), stack=3).to_json())
    seen = []
    monkeypatch.setattr(
        "scaling.dispatch.stacks.claim_stack.Team", lambda _, teams, results: seen.append(teams) or Idle()
    )
    queue = list(order_of(folder, planned).entries)
    worker_of(folder, planned).claim_together(queue[0], queue, {})
    assert [entry.run_id for team in seen[0] for entry in team] == [planned[0].run_id, planned[2].run_id]
    assert causes(folder, planned[1]) == [("stack_died", 3)]
    assert not claim.exists()


def died_in_stack_of(size: int, folder: SweepFolder, run) -> None:
    failure = RuntimeError("died")
    facts = {"job": "1", "gpus": 1, "step": 0, "failure": failure, "stack": size}
    ended_attempt(Start(), cause=STACK_DIED, **facts).append(folder.run(run.run_id))


def test_a_run_whose_stack_died_has_half_of_it_also_among_new_runs(folder, monkeypatch):
    planned, seen = [stacked(keys(seed)) for seed in range(4)], []
    died_in_stack_of(4, folder, planned[0])
    monkeypatch.setattr(
        "scaling.dispatch.stacks.claim_stack.Team", lambda _, teams, steps: seen.append(teams) or Idle()
    )
    queue = sorted(order_of(folder, planned).entries, key=lambda entry: entry.run_id != planned[0].run_id)
    worker_of(folder, planned).claim_together(queue[0], queue, {})
    assert [[len(team) for team in teams] for teams in seen] == [[2]]


def test_beside_a_run_whose_stack_died_no_other_stack_is_trained(folder, monkeypatch):
    monkeypatch.setitem(stacks.SIDE_BY_SIDE, "cpu", 3)
    planned, seen = [stacked(keys(0, model={"is": "mlp", "width": w, "depth": 1})) for w in (12, 10, 8)], []
    died_in_stack_of(3, folder, planned[0])
    monkeypatch.setattr(
        "scaling.dispatch.stacks.claim_stack.Team", lambda _, teams, steps: seen.append(teams) or Idle()
    )
    queue = sorted(order_of(folder, planned).entries, key=lambda entry: entry.run_id != planned[0].run_id)
    assert worker_of(folder, planned).claim_together(queue[0], queue, {}) is Result.SETTLED
    assert not seen


def test_a_worker_takes_no_more_stacks_than_its_part_of_the_work(folder, monkeypatch):
    monkeypatch.setitem(stacks.SIDE_BY_SIDE, "cpu", 3)
    planned = [stacked(keys(seed, model={"is": "mlp", "width": w, "depth": 1})) for w in (8, 12) for seed in range(2)]
    worker, seen = worker_of(folder, planned, workers=2, name="worker 0"), []
    monkeypatch.setattr(
        "scaling.dispatch.stacks.claim_stack.Team", lambda _, teams, steps: seen.append(teams) or Idle()
    )
    queue = list(order_of(folder, planned).entries)
    worker.claim_together(queue[0], queue, {})
    assert [[len(team) for team in teams] for teams in seen] == [[2]]


def test_a_run_joins_other_stacks_only_where_it_fits_into_memory(folder, monkeypatch):
    monkeypatch.setitem(stacks.SIDE_BY_SIDE, "cpu", 3)
    planned = [stacked(keys(0, model={"is": "mlp", "width": width, "depth": 1})) for width in (12, 10, 8)]
    queue, seen = list(order_of(folder, planned).entries), []
    needed = [stack_bytes(run, "cpu", 1) for run in planned]
    monkeypatch.setattr(
        "scaling.dispatch.stacks.claim_stack.Team", lambda _, teams, steps: seen.append(teams) or Idle()
    )
    for free in (sum(needed), sum(needed) - 1):
        monkeypatch.setattr("scaling.train.device.host_memory", lambda free=free: HostMemory(1 << 40, free))
        monkeypatch.setattr("scaling.train.device.SHARE_FOR_STACKS", 1.0)
        worker_of(folder, planned).claim_together(queue[0], queue, {})
    assert [len(teams) for teams in seen] == [3, 2]


def sizes_of_first_stack(folder, planned, free: int, monkeypatch) -> int:
    """Return how many runs a worker trains together with so many bytes of free memory."""
    seen = []
    monkeypatch.setattr("scaling.train.device.host_memory", lambda: HostMemory(1 << 40, free))
    monkeypatch.setattr(
        "scaling.dispatch.stacks.claim_stack.Team", lambda _, teams, steps: seen.append(teams[0]) or Idle()
    )
    queue = list(order_of(folder, planned).entries)
    worker_of(folder, planned).claim_together(queue[0], queue, {})
    return len(seen[0])


def test_a_stack_fits_into_memory_with_all_the_data_that_it_reads(folder, monkeypatch):
    alike = [stacked(keys(seed)) for seed in range(8)]
    apart = [stacked(keys(seed, data={**SIZED, "seed": seed})) for seed in range(8)]
    free = int(stack_bytes(alike[0], "cpu", 4) / SHARE_FOR_STACKS) + 1
    assert sizes_of_first_stack(folder, alike, 1 << 40, monkeypatch) == 8
    assert sizes_of_first_stack(folder, alike, free, monkeypatch) == 4
    assert sizes_of_first_stack(folder, apart, free, monkeypatch) == 3
    assert sizes_of_first_stack(folder, apart, 1 << 40, monkeypatch) == 8


@pytest.mark.parametrize(("free", "workers", "part"), [(60, 0, 2), (60, 100, 2), (60, 2, 32), (60, 1, 60), (1, 1, 1)])
def test_a_worker_s_stacks_take_its_part_of_the_memory(free, workers, part, monkeypatch):
    """One thread of 32 cores, of 64 bytes."""
    monkeypatch.setattr("scaling.train.device.host_memory", lambda: HostMemory(64, free))
    monkeypatch.setattr("scaling.train.device.cores", lambda: 32)
    with torch_threads(1):
        assert memory_for_stacks(torch.device("cpu"), workers=workers) == SHARE_FOR_STACKS * part


class Idle:
    def train(self):
        """Train nothing."""


def test_the_budget_is_checked_member_by_member(folder):
    planned = [stacked(keys(seed)) for seed in range(4)]
    C = planned[0].quantities.C
    worker = worker_of(folder, planned, limits=Limits(flops=2.5 * C))
    report = worker.work()
    assert report.settled == 2
    assert len(set(report.held)) == 2
    assert [causes(folder, run) for run in planned if causes(folder, run)] == [[("finished", 2)]] * 2


def test_no_more_runs_are_taken_than_fit_into_the_time_left(folder, monkeypatch):
    planned, seen, results = [stacked(keys(seed)) for seed in range(4)], [], {}
    worker = worker_of(folder, planned, deadline=time.time() + 250.0)
    worker.report.settled = 1  # a new job takes any run
    monkeypatch.setattr(
        "scaling.dispatch.stacks.claim_stack.Team", lambda _, teams, steps: seen.append(teams[0]) or Idle()
    )
    queue = [replace(entry, forecast_seconds=100.0) for entry in order_of(folder, planned).entries]
    worker.claim_together(queue[0], queue, results)
    assert [len(team) for team in seen] == [2]
    assert list(results.values()) == [Result.LATER] * 2


class Asked(Stop):
    """Cancels one run when it has been asked so often whether to leave it."""

    def __init__(self, run_id: str, times: int) -> None:
        super().__init__()
        self.run_id, self.left = run_id, times

    def of(self, run_id):
        asked = super().of(run_id)

        def ask():
            self.left -= run_id == self.run_id
            if self.left == 0:
                self.runs[self.run_id] = "cancelled"
            return asked()

        return ask


def test_cancelling_one_disturbs_no_other(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("scaling.train.loop.TICK_SECONDS", 0.0)
    planned = [stacked(keys(seed)) for seed in range(3)]
    gone = planned[1]
    worker = worker_of(folder, planned, stop=Asked(gone.run_id, 15))
    assert worker.work().settled == 2
    assert causes(folder, gone) == [("cancelled", 3)]
    assert folder.run(gone.run_id).checkpoint.exists()
    for seed in (0, 2):
        record = read_record(folder.run(planned[seed].run_id))
        assert losses(record) == pytest.approx(losses(alone(keys(seed), tmp_path / "alone")), rel=ROUNDING)
    again = worker_of(folder, planned)
    assert again.work().settled == 1
    assert losses(read_record(folder.run(gone.run_id))) == pytest.approx(
        losses(alone(keys(1), tmp_path / "alone")), rel=ROUNDING
    )


def test_an_error_in_the_common_step_is_charged_to_its_culprit_alone(folder):
    planned = [stacked(keys(seed, data="poisoned")) for seed in range(5)]
    report = worker_of(folder, planned).work()
    assert (report.settled, report.failed) == (4, 1)
    assert "poison" in report.sentence
    for seed, run in enumerate(planned):
        *before, last = causes(folder, run)
        assert last[0] == ("crashed" if seed == BAD else "finished")
        assert {cause for cause, _ in before} <= {"stack_died"}
        assert [size for _, size in before] == sorted((size for _, size in before), reverse=True)
    assert causes(folder, planned[BAD])[-1] == ("crashed", 1)


@pytest.mark.slow
def test_a_run_that_kills_its_worker_is_found_and_the_others_are_trained(folder):
    planned = [stacked(keys(seed, data={"is": "poisoned", "deadly": True})) for seed in range(6)]
    outcome = run_quietly(order_of(folder, planned), Local(workers=1))
    assert outcome.settled == 5
    assert [failure.run_id for failure in outcome.failures] == [planned[BAD].run_id]
    tried = causes(folder, planned[BAD])
    assert tried[0] == ("stack_died", 6)
    assert tried[-3:] == [("killed", 1)] * 3
    assert all(causes(folder, run)[-1][0] == "finished" for seed, run in enumerate(planned) if seed != BAD)


@pytest.mark.slow
def test_modules_that_cannot_be_stacked_are_trained_one_by_one(folder):
    model = {"is": "custom", "module": "tests.train.nets.Noisy"}
    planned = [stacked(keys(seed, model=model)) for seed in range(3)]
    assert worker_of(folder, planned).work().settled == 3
    assert [causes(folder, run) for run in planned] == [[("finished", 1)]] * 3
    assert "random streams" in read_record(folder.run(planned[0].run_id)).how["stack"]


def queue_of(works: dict[str, float], key: str = "k") -> list[Entry]:
    return [Entry(name, C=work, stack_key=key) for name, work in works.items()]


def names(entries) -> str:
    return "".join(entry.run_id for entry in entries)


def test_workers_share_what_is_left(tmp_path):
    queue = queue_of(dict.fromkeys("abcdef", 1.0))
    task = Task(SweepFolder(tmp_path, "s"), tmp_path, workers=2, name="worker 0")
    assert names(fair_share(queue[0], queue, task)) == "abc"
    assert names(fair_share(queue[0], queue, replace(task, name="worker 1"))) == "def"
    assert names(fair_share(queue[0], queue, replace(task, workers=1))) == "abcdef"
    others = queue_of(dict.fromkeys("ghijkl", 1.0), key="other")  # as much of another shape: the other worker's
    assert names(fair_share(queue[0], queue + others, task)) == "abcdef"
    assert names(fair_share(others[0], others, task)) == "ghi"
    long = queue_of({"a": 9.0, "b": 1.0, "c": 1.0})
    assert names(fair_share(long[0], long, task)) == "a"
    assert names(fair_share(long[0], long, replace(task, name="worker 1"))) == "bc"
    for entry in queue[:2]:  # whoever is claiming its part leaves the others' parts as they are
        task.folder.run(entry.run_id).path.mkdir(parents=True)
        task.folder.run(entry.run_id).claim.touch()
    assert names(fair_share(queue[0], queue, task)) == "c"
    assert names(fair_share(queue[0], queue, replace(task, name="worker 1"))) == "def"


def test_a_queue_says_with_whom_runs_were_forecast(folder):
    wide = {"model": {"is": "mlp", "width": 12, "depth": 1}}
    planned = [stacked({**keys(seed, steps), **own}) for own in ({}, wide) for seed, steps in enumerate((20, 40))]
    forecasts = Forecasts(stack_shares=stacks.stack_shares(planned, kind="cuda"))
    write_queue(folder.path / "queue.jsonl", order_of(folder, planned, forecasts=forecasts).entries)
    found = {entry.run_id: entry.planned for entry in read_queue(folder.path / "queue.jsonl")}
    assert [found[run.run_id].members for run in planned] == pytest.approx([4.0, 40 / 15, 4.0, 40 / 15])
    assert [found[run.run_id].beside for run in planned] == [1, 1, 1, 1]


def test_the_size_of_a_stack_is_halved_until_a_run_stands_alone():
    died = [{"cause": "stack_died", "stack": 8}]
    assert largest_stack([]) is None
    assert largest_stack(died) == 4
    assert largest_stack([*died, {"cause": "stack_died", "stack": 4}]) == 2
    assert largest_stack([*died, {"cause": "stack_died", "stack": 2}]) == 1
    assert largest_stack([*died, {"cause": "interrupted"}]) is None
    assert largest_stack([{"cause": "killed"}]) == 1
