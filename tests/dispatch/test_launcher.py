"""A launcher of one's own is one module and one YAML: plan, run, status, retry, probe and doctor take it as it is."""

from __future__ import annotations

import json

import pytest

MODULE = '''
"""A launcher that trains one run after the other in this process."""

from dataclasses import dataclass, replace
from typing import ClassVar

from scaling.dispatch.launcher import Capacity, Dispatched, Sheet
from scaling.dispatch.launchers import Local
from scaling.dispatch.states.outcome import Outcome


@dataclass(frozen=True)
class Inline:
    name: ClassVar[str] = "inline"
    implementation: ClassVar[str] = "inline:InlineLauncher"
    threads: int = 1
    retries: int = 0
    most: int = 1


class InlineLauncher:
    def __init__(self, settings):
        self.settings = settings

    def check(self, configs):
        pass

    def prepare(self):
        pass

    def capacity(self, devices, runs):
        return Capacity(self.settings.most, "inline-node")

    def submit(self, order, view):
        from scaling.dispatch.dispatches import new_dispatch
        from scaling.dispatch.limits import offer_of
        from scaling.dispatch.queue import write_queue
        from scaling.dispatch.single import run_single

        offered, dispatch = offer_of(order, gpus=0), new_dispatch(order.folder)
        dispatch.write(dispatch.begin(self.settings, offered, order.limits))
        write_queue(dispatch.queue, offered.queue)
        ended = [run_single(replace(order, entries=(entry,)), Local()) for entry in offered.queue]
        dispatch.write(replace(dispatch.read(), ended=True))
        found = len(order.entries) - len(offered.queue)
        failures = tuple(failure for one in ended for failure in one.failures)
        outcome = Outcome(len(order.entries), found + sum(one.settled for one in ended), found, failures)
        return Dispatched(outcome, outcome.to_dict(), found=found)

    def rehearse(self, order):
        return [Sheet("inline", f"{len(order.open_entries)} runs, one after the other")]

    def job_states(self, dispatches):
        return {}

    def trouble(self, dispatches):
        return []

    def cancel(self, files, dispatch):
        return []

    def probe(self, folder, device):
        from scaling.forecast.speed import Costs, Speed, keep_speed

        costs = {"fp32": Costs(step=1.0, layer=0, flop=0, weight=0, activation=0, input=0)}
        speed = Speed("inline", "cpu", 1, "0", costs, draw={"teacher": 0.0}, run=0.0, error=0.0, probed_at="")
        keep_speed(speed, partition="inline-node")
        return speed

    def describe(self):
        return ["one after the other"]
'''


@pytest.fixture
def inline(scaling, monkeypatch):
    (scaling.folder / "inline.py").write_text(MODULE)
    (scaling.folder / "conf" / "launcher").mkdir(parents=True)
    (scaling.folder / "conf" / "launcher" / "inline.yaml").write_text("_target_: inline.Inline\nmost: 1\n")
    monkeypatch.syspath_prepend(scaling.folder)
    monkeypatch.setenv("XDG_CACHE_HOME", str(scaling.folder / "cache"))
    return scaling


HERE = ("launcher=inline", "train.device=cpu", "model.width=8,16", "train.steps=3")


def test_it_trains_what_is_not_settled(inline):
    plan = json.loads(inline("plan", *HERE, "launcher.most=7", "--json", "-"))
    assert plan["total"]["workers"] == 2  # no more than there are runs
    ended = json.loads(inline("run", *HERE, "--json", "-"))
    assert (ended["settled"], ended["found"]) == (2, 0)
    again = json.loads(inline("run", *HERE[:2], "model.width=8,16,24", "train.steps=3", "--json", "-"))
    assert (again["settled"], again["found"]) == (3, 2)
    status = json.loads(inline("status", "results/adhoc", "--json", "-"))
    assert status["counts"]["finished"] == 3


def test_a_retry_goes_to_the_launcher_that_had_the_run(inline):
    inline("run", *HERE)
    for record in inline.folder.glob("results/runs/*/record.json"):
        record.unlink()
    runs = [path.name for path in inline.folder.glob("results/runs/*")]
    assert json.loads(inline("retry", "results/adhoc", *runs, "--json", "-"))["settled"] == 2
    kinds = [json.loads(path.read_text()) for path in inline.folder.glob("results/adhoc/jobs/*/dispatch.json")]
    assert [(dispatch["kind"], dispatch["target"]) for dispatch in kinds] == [("inline", "inline.Inline")] * 2


def test_it_is_rehearsed_probed_and_described(inline):
    assert "2 runs, one after the other" in inline("run", *HERE, "--dry-run")
    inline("probe", "launcher=inline")
    plan = json.loads(inline("plan", *HERE, "--json", "-"))
    assert plan["total"]["forecast_seconds"] >= 2 * 3  # a second a step, and its evaluations
    assert "one after the other" in inline("doctor")


def test_its_keys_are_checked(inline):
    assert "launcher.mots" in inline("run", "launcher=inline", "+launcher.mots=3", "train.steps=3", code=2)


@pytest.mark.parametrize(
    ("name", "line", "sentence"),
    [
        (
            "prepare",
            "    def prepare(self):\n        pass\n",
            "found the launcher less_prepare:InlineLauncher without prepare;",
        ),
        (
            "threads",
            "    threads: int = 1\n",
            "found Inline without threads; wanted name, implementation, threads, retries",
        ),
    ],
)
def test_one_that_lacks_something_is_refused_in_a_sentence(inline, name, line, sentence):
    assert line in MODULE
    (inline.folder / f"less_{name}.py").write_text(MODULE.replace(line, "").replace('"inline:', f'"less_{name}:'))
    (inline.folder / "conf" / "launcher" / "less.yaml").write_text(f"_target_: less_{name}.Inline\n")
    assert sentence in inline("run", "launcher=less", *HERE[1:], code=2)
