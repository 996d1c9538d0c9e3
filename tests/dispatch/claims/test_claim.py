"""A claim is held by one process, and passes on only when its owner is dead."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scaling.dispatch.claims.claim import PERIODS, SIZE, Claim, Life, Observer, acquire, read_claim, remove, take
from scaling.dispatch.process import Process, start_time, this_process
from tests.dispatch.claimants import contend, leave_claim
from tests.waiting import Clock, wait_for

ELSEWHERE = Process(host="far", space="away", pid=1, start=1)


def write(path, claim):
    path.write_bytes(claim.to_json())


def foreign(count=0, **facts):
    return Claim(token="f" * 12, process=ELSEWHERE, period=2.0, count=count, **facts)


def test_one_holder(tmp_path):
    path = tmp_path / "run" / "claim.json"
    held = acquire(path, job="12_3", worker="worker 1", gpus=2)
    assert acquire(path) is None
    claim = read_claim(path)
    assert (claim.job, claim.worker, claim.gpus, claim.process) == ("12_3", "worker 1", 2, this_process())
    held.release()
    assert list(path.parent.iterdir()) == []


def test_beat_raises_the_counter_in_place(tmp_path):
    path = tmp_path / "claim.json"
    held = acquire(path)
    for _ in range(3):
        assert held.beat({"step": 5, "loss": 0.5})
    claim = read_claim(path)
    assert (claim.count, claim.progress) == (3, {"step": 5, "loss": 0.5})
    assert path.stat().st_size == SIZE
    assert json.loads(path.read_text())["process"]["pid"] == os.getpid()


def test_former_owner_neither_overwrites_nor_removes(tmp_path):
    path = tmp_path / "claim.json"
    former = acquire(path)
    assert remove(path, former.claim.token)
    heir = acquire(path)
    assert not former.beat()
    former.release()
    assert read_claim(path).token == heir.claim.token


def without_answer(real, code):
    """Return a change of names that is made and then fails, as if the file server's answer were lost."""

    def change(*arguments):
        real(*arguments)
        raise OSError(code, os.strerror(code))

    return change


@pytest.mark.parametrize("code", [errno.EEXIST, errno.EIO])
def test_a_claim_is_held_though_the_file_server_s_answer_was_lost(tmp_path, monkeypatch, code):
    """The server is asked again and finds its own link, or does not answer at all."""
    path = tmp_path / "claim.json"
    monkeypatch.setattr(os, "link", without_answer(os.link, code))
    held = acquire(path)
    assert held is not None
    assert read_claim(path) == held.claim
    monkeypatch.undo()
    assert acquire(path) is None
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("code", [errno.ENOENT, errno.EIO])
def test_a_dead_claim_is_replaced_and_released_though_the_answers_were_lost(tmp_path, monkeypatch, code):
    path = tmp_path / "claim.json"
    leave_claim(path)
    monkeypatch.setattr(Path, "replace", without_answer(Path.replace, code))
    held = take(path, Observer())
    assert held is not None
    assert read_claim(path) == held.claim
    monkeypatch.setattr(os, "unlink", without_answer(os.unlink, errno.ENOENT))
    held.release()
    assert list(tmp_path.iterdir()) == []


def test_remove_wants_the_token(tmp_path):
    path = tmp_path / "claim.json"
    held = acquire(path)
    assert not remove(path, "0" * 12)
    assert read_claim(path).token == held.claim.token
    assert [file.name for file in tmp_path.iterdir()] == ["claim.json"]


def test_own_host_dead_at_once(tmp_path):
    path = tmp_path / "claim.json"
    leave_claim(path)
    assert Observer().look(path)[0] is Life.DEAD


def test_own_host_alive_however_silent(tmp_path):
    path = tmp_path / "claim.json"
    clock = Clock()
    observer = Observer(clock=clock)
    acquire(path)
    assert observer.look(path)[0] is Life.ALIVE
    clock.now = 1e6
    assert observer.look(path)[0] is Life.ALIVE


def test_reused_pid_is_another_process(tmp_path):
    path = tmp_path / "claim.json"
    mine = this_process()
    write(path, replace(foreign(), process=replace(mine, start=mine.start - 1)))
    assert Observer().look(path)[0] is Life.DEAD


def test_zombie_is_dead():
    process = subprocess.Popen([sys.executable, "-S", "-c", ""])
    wait_for(lambda: start_time(process.pid) is None)  # though nobody has asked how it ended
    process.wait()


@settings(max_examples=50)
@given(gaps=st.lists(st.floats(0.1, 5.9), min_size=1, max_size=8))
def test_elsewhere_dead_only_after_three_silent_periods(tmp_path_factory, gaps):
    path = tmp_path_factory.mktemp("claim") / "claim.json"
    clock = Clock()
    observer = Observer(clock=clock)
    for count, gap in enumerate(gaps):  # beats that come late, but within three periods
        write(path, foreign(count))
        assert observer.look(path)[0] is (Life.ALIVE if count else Life.UNSURE)
        clock.now += gap
        assert observer.look(path)[0] is Life.UNSURE
    clock.now += PERIODS * 2.0
    assert observer.look(path)[0] is Life.DEAD


def test_scheduler_that_knows_the_job_keeps_it_alive(tmp_path):
    path = tmp_path / "claim.json"
    write(path, foreign(job="12_3"))
    for answer, life in ((True, Life.ALIVE), (False, Life.DEAD), (None, Life.DEAD)):
        clock = Clock()
        observer = Observer(is_running=lambda job, answer=answer: answer, clock=clock)
        observer.look(path)
        clock.now = 100.0
        assert observer.look(path)[0] is life


def test_earlier_life_of_own_job_dies_of_silence_though_the_job_runs(tmp_path):
    path = tmp_path / "claim.json"
    write(path, foreign(job="12_3"))
    clock = Clock()
    own, other = (Observer(job=job, is_running=lambda job: True, clock=clock) for job in ("12_3", "12_4"))
    assert (own.look(path)[0], other.look(path)[0]) == (Life.UNSURE, Life.ALIVE)
    clock.now = 100.0
    assert (own.look(path)[0], other.look(path)[0]) == (Life.DEAD, Life.ALIVE)


ODD = foreign().to_json().replace(b'"period": ', b'"period": "x", "was": ')


@pytest.mark.parametrize(
    "raw", [b"", b"{", foreign().to_json()[:40], b"[]", b"\0" * SIZE, ODD, b'"\xff', b'{"process": 1}']
)
def test_cut_claim_dies_of_silence(tmp_path, raw):
    path = tmp_path / "claim.json"
    path.write_bytes(raw)
    clock = Clock()
    observer = Observer(clock=clock)
    assert observer.look(path)[0] is Life.UNSURE
    clock.now = PERIODS
    dead = []
    assert take(path, observer, before=dead.append) is not None
    assert dead[0].process.pid == 0


@pytest.mark.slow
def test_two_claimants_of_one_dead_claim(tmp_path):
    """Of four processes that have all found the same claim dead exactly one gets it, two hundred times."""
    rounds, contenders = 200, 4
    first = tmp_path / "0.json"
    leave_claim(first)
    for number in range(1, rounds):
        (tmp_path / f"{number}.json").write_bytes(first.read_bytes())
    context = multiprocessing.get_context("spawn")
    gate, wins = context.Barrier(contenders, timeout=300), context.SimpleQueue()
    processes = [context.Process(target=contend, args=(tmp_path, gate, rounds, wins)) for _ in range(contenders)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    won = []
    while not wins.empty():
        won.append(wins.get())
    assert sorted(number for number, _ in won) == list(range(rounds))
    for number, pid in won:
        assert read_claim(tmp_path / f"{number}.json").process.pid == pid


def acquire_until(path, taken):
    while not taken.is_set():
        if acquire(path) is not None:
            return True
    return False


def test_a_dead_claim_is_not_free_while_it_passes_on(tmp_path):
    """Otherwise one process removes the claim and another gets the run, and neither records the death."""
    leave_claim(tmp_path / "first.json")
    dead = (tmp_path / "first.json").read_bytes()
    with ThreadPoolExecutor() as pool:
        for number in range(100):
            path, taken, found = tmp_path / f"{number}.json", Event(), []
            path.write_bytes(dead)
            acquired = pool.submit(acquire_until, path, taken)
            held = take(path, Observer(), before=found.append)
            taken.set()
            assert not acquired.result()
            assert (held.claim, found) == (read_claim(path), [Claim.from_json(dead)])


def test_a_claim_stays_dead_if_its_death_cannot_be_recorded(tmp_path):
    path, told = tmp_path / "claim.json", []
    leave_claim(path)
    dead = read_claim(path)

    def record(claim):
        told.append(claim)
        if len(told) == 1:
            raise OSError(errno.EIO, "no answer")

    with pytest.raises(OSError, match="no answer"):
        take(path, Observer(), before=record)
    assert read_claim(path) == dead
    assert take(path, Observer(), before=record) is not None
    assert told == [dead, dead]


def test_marker_of_a_dead_remover_does_not_block_for_ever(tmp_path):
    path = tmp_path / "claim.json"
    leave_claim(path)
    token = read_claim(path).token
    leave_claim(tmp_path / f".claim.json.{token}")
    observer = Observer()
    dead = []
    assert take(path, observer, before=dead.append) is None
    assert take(path, observer, before=dead.append) is not None
    assert [claim.token for claim in dead] == [token]


class SlowObserver(Observer):
    """An observer that is late: after its look at the marker of the dead, another process takes the marker's place."""

    def look(self, path):
        found = super().look(path)
        if path.name.startswith(".") and found[0] is Life.DEAD:
            path.unlink()
            self.rival = acquire(path)
        return found


def test_marker_of_the_living_stays_where_a_dead_one_was_found(tmp_path):
    path = tmp_path / "claim.json"
    leave_claim(path)
    marker = tmp_path / f".claim.json.{read_claim(path).token}"
    leave_claim(marker)
    observer = SlowObserver()
    assert take(path, observer) is None
    assert read_claim(marker).token == observer.rival.claim.token
    assert take(path, Observer()) is None


def test_processes_that_die_while_they_remove_the_marker_of_the_dead_do_not_block_for_ever(tmp_path):
    path = marker = tmp_path / "claim.json"
    leave_claim(path)
    for _ in range(2):
        marker = tmp_path / f".{marker.name}.{read_claim(marker).token}"
        leave_claim(marker)
    observer = Observer()
    assert [take(path, observer) is None for _ in range(3)] == [True, True, False]
    assert [file.name for file in tmp_path.iterdir()] == ["claim.json"]


def test_claim_reads_back():
    claim = foreign(count=3, job="9", progress={"step": 1, "loss": 0.25})
    assert Claim.from_json(claim.to_json()) == claim
    assert set(asdict(claim)) == set(json.loads(claim.to_json()))


def test_a_claim_of_a_newer_version_lives_as_long_as_its_owner_says(tmp_path):
    raw = json.loads(foreign(job="9").to_json())
    newer = {**raw, "colour": "red", "process": {**raw["process"], "thread": 1}}
    assert Claim.from_json(json.dumps(newer).encode()) == foreign(job="9")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 kB."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a file system of one's own needs root")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_claim_is_released_on_a_full_disk(small_disk):
    held = acquire(small_disk / "claim.json")
    with suppress(OSError), (small_disk / "fill").open("wb", buffering=0) as fill:
        while True:
            fill.write(b"x" * 4096)
    held.release()
    assert not (small_disk / "claim.json").exists()
