"""A run that makes no step ends its worker, one whose process was suspended meanwhile does not; moved results do."""

from __future__ import annotations

import pytest

from scaling.dispatch.claims import heartbeat as module
from scaling.dispatch.claims.claim import acquire, read_claim
from scaling.dispatch.claims.heartbeat import Heartbeat
from scaling.dispatch.claims.stop import Stop
from scaling.folders import Place
from tests.waiting import Clock


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(module.time, "monotonic", clock)
    return clock


class Ended(BaseException):
    """What nothing catches."""


class Beats(Heartbeat):
    """Looks once after each of the given seconds, and ends nothing."""

    def __init__(self, clock, *naps, home=None):
        super().__init__(Stop(), home=home)
        self.clock, self.naps = clock, list(naps)
        self._end = self

    def wait(self, seconds):
        if not self.naps:
            return True
        self.clock.now += self.naps.pop(0)
        return False

    def _end_process(self, run_id, why):
        raise Ended(why)


def test_a_run_without_a_step_ends_its_worker(tmp_path, clock):
    beats = Beats(clock, *[0.2] * 500)
    beats.hold("run", acquire(tmp_path / "claim.json", period=1.0), stuck_seconds=60)
    with pytest.raises(Ended, match="no step was made for 60 s"):
        beats.run()


def test_time_in_which_the_worker_was_suspended_does_not_count(tmp_path, clock):
    beats = Beats(clock, 0.2, 3600, *[0.2] * 200, 7200, 0.2)
    beats.hold("run", acquire(tmp_path / "claim.json", period=1.0), stuck_seconds=60)
    beats.run()


def test_a_claim_is_beaten_while_the_reasons_to_stop_cannot_be_read(tmp_path, clock, caplog):
    def check(run_id):
        raise PermissionError("stop.json")

    beats = Beats(clock, *[1.0] * 3)
    beats._checks = (check,)
    beats.hold("run", acquire(tmp_path / "claim.json", period=1.0))
    beats.run()
    assert read_claim(tmp_path / "claim.json").count == 3
    assert len(caplog.records) == 1  # the same error is told once


def test_a_worker_whose_results_were_moved_ends_before_its_next_run_or_heartbeat(tmp_path, clock):
    results = tmp_path / "results"
    results.mkdir()
    beats = Beats(clock, 0.2, home=Place(results))
    beats.hold("run", acquire(results / "claim.json", period=10.0))
    assert beats.reason_not_to_start("next") == ""
    results.rename(tmp_path / "elsewhere")
    results.mkdir()  # made anew by something else
    for go_on in (beats.run, lambda: beats.reason_not_to_start("next")):
        with pytest.raises(Ended, match="the results were moved away"):
            go_on()
