"""The claims of a large stack: beaten seldom enough to leave time for other things, and dropped without waiting."""

from __future__ import annotations

import os
import threading
from collections import Counter

import pytest

from scaling.dispatch.claims import heartbeat
from scaling.dispatch.claims.claim import HeldClaim, acquire, read_claim
from scaling.dispatch.claims.heartbeat import BEATEN
from tests.dispatch.claims.test_stuck import Beats, clock  # noqa: F401


def test_a_claim_is_dropped_while_another_is_beaten(tmp_path, clock, monkeypatch):  # noqa: F811
    """On a slow disk the beats of a stack take seconds, in which members end one by one."""
    heartbeat, beat, dropped = Beats(clock, 1.0), HeldClaim.beat, list[bool]()
    for name in "ab":
        heartbeat.hold(name, acquire(tmp_path / name, period=1.0))

    def slow(self, progress=None, **facts):
        thread = threading.Thread(target=heartbeat.drop, args=["b"], daemon=True)
        thread.start()
        thread.join(timeout=5)
        dropped.append(not thread.is_alive())
        return beat(self, progress, **facts)

    monkeypatch.setattr(HeldClaim, "beat", slow)
    heartbeat.run()
    assert dropped == [True]  # and is not beaten after that
    assert read_claim(tmp_path / "b") is None
    assert read_claim(tmp_path / "a").count == 1


def test_what_is_told_of_a_run_says_when_it_was_so(tmp_path, clock, monkeypatch):  # noqa: F811
    """A claim is read some seconds after its last beat, and that comes some after the step."""
    beats, held = Beats(clock, 1.0), acquire(tmp_path / "claim.json")
    monkeypatch.setattr(heartbeat.time, "time", lambda: held.claim.since + 7)
    seven = pytest.approx(7)
    beats.hold("run", held)
    beats.watch("run", {"step": 3, "loss": float("nan")})
    beats.run()
    assert read_claim(tmp_path / "claim.json").progress == {"step": 3, "seconds": seven, "noted": seven}
    beats.watch("run", {"step": 4, "seconds": 2.0})  # a member's share
    assert beats._holds["run"].progress == {"step": 4, "seconds": 2.0, "noted": seven}


@pytest.mark.parametrize(("members", "period"), [(BEATEN, 1.0), (4 * BEATEN, 4.0)])
def test_many_claims_are_beaten_no_more_often_than_a_few(members, period, tmp_path, clock, monkeypatch):  # noqa: F811
    on_disk = Counter[int]()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: on_disk.update([descriptor]))
    beats = Beats(clock, *[0.25] * 49)
    for number in range(members):
        beats.hold(str(number), acquire(tmp_path / str(number), period=1.0))
    beats.begin_together()
    assert not on_disk
    assert {read_claim(tmp_path / str(number)).stack for number in range(members)} == {members}  # before the first step
    beats.run()
    claims = [read_claim(tmp_path / str(number)) for number in range(members)]
    assert Counter(claim.count for claim in claims) == {2 + 12 // period: members}
    assert Counter(on_disk.values()) == {1 + 12 // period: members}  # at the first look, and in each period after
    assert {claim.period for claim in claims} == {period}  # others know when to expect the next


def test_while_a_large_stack_is_claimed_each_claim_is_beaten_as_others_expect_it(tmp_path, clock):  # noqa: F811
    beats = Beats(clock, *[0.25] * 4)
    for number in range(4 * BEATEN):
        beats.hold(str(number), acquire(tmp_path / str(number), period=1.0))
    beats.run()  # for a second, in which its training has not begun
    claims = [read_claim(tmp_path / str(number)) for number in range(4 * BEATEN)]
    assert {(claim.count, claim.period) for claim in claims} == {(1, 4.0)}
