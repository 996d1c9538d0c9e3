"""Fresh examples, drawn ahead by threads and pinned by them for a GPU: the same bits, and no traces in the process."""

from __future__ import annotations

import gc
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from scaling.data.base import Arrays, Stream
from scaling.data.memory import MEMORY
from scaling.train.feed import resident
from scaling.train.feed.feed import DRAWING, Chunks
from scaling.train.feed.normalisation import Normalisation
from scaling.train.feed.resident import copied

CPU = torch.device("cpu")
CHUNK = 10


def drawn(i: int) -> Arrays:
    """Return read-only examples as those of a worker's memory."""
    rng = np.random.default_rng(i)
    arrays = Arrays(rng.standard_normal((CHUNK, 3), dtype=np.float32), rng.standard_normal(CHUNK))
    for array in (arrays.x, arrays.y):
        array.flags.writeable = False
    return arrays


def chunks(device, *, thread_safe: bool, draw=drawn) -> Chunks:
    fresh = Stream(draw, chunk=CHUNK, thread_safe=thread_safe)
    scale = Normalisation(torch.ones(1), torch.full((1,), 2.0))
    return Chunks(fresh, drawn(0), scale, device, until=95)


@pytest.fixture
def gpu(monkeypatch):
    """The second GPU, with host memory in place of its own and of pinned memory, which every thread pins for it."""
    device, current = SimpleNamespace(type="cuda", index=1), threading.local()

    @contextmanager
    def used(wanted):
        current.device = wanted
        yield
        current.device = None

    def pinned(tensor):
        assert getattr(current, "device", None) is device, "torch would begin to use the first GPU"
        return tensor.clone()

    monkeypatch.setattr(resident, "used_device", used)
    monkeypatch.setattr(torch.Tensor, "pin_memory", pinned)
    monkeypatch.setattr(resident, "copied_meanwhile", lambda parts, _: [part.clone() for part in parts])
    return device


@pytest.mark.parametrize("thread_safe", [True, False])
def test_a_gpu_reads_the_examples_that_a_cpu_reads(thread_safe, gpu):
    on_gpu, on_cpu = (chunks(device, thread_safe=thread_safe) for device in (gpu, CPU))
    for start in range(0, 95, 7):
        pairs = zip(on_gpu.examples(start, start + 7), on_cpu.examples(start, start + 7), strict=True)
        assert all(torch.equal(found, wanted) for found, wanted in pairs)


def test_threads_that_copy_examples_leave_the_filters_of_warnings_alone():
    """These are one list for all threads; whoever sets them for a moment puts them back after another one's turn."""
    arrays, before, interval = drawn(0), list(warnings.filters), sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: copied(arrays, None, CPU, reads=CHUNK), range(4_000)))
    finally:
        sys.setswitchinterval(interval)
    found, warnings.filters[:] = list(warnings.filters), before
    assert found == before


def test_the_feeds_of_a_large_stack_share_the_threads_that_draw(monkeypatch):
    """A hundred seeds are not a hundred times sixteen threads, of which each holds a chunk."""
    gc.collect()
    monkeypatch.setattr("scaling.train.feed.feed.drawers", lambda kind: 16)
    before, alive = threading.active_count(), len(DRAWING)
    feeds = [chunks(CPU, thread_safe=True) for _ in range(100)]
    for feed in feeds:
        feed.examples(0, CHUNK)
    assert threading.active_count() - before <= 100 + 16 * 4
    del feeds, feed
    gc.collect()
    assert len(DRAWING) == alive


def test_feeds_that_are_not_read_leave_the_threads_to_the_others(monkeypatch):
    """A stack of many rates has a feed for each run, of which it reads one for each seed."""
    monkeypatch.setattr("scaling.train.feed.feed.drawers", lambda kind: 9)
    all_at_once = threading.Barrier(9, timeout=20)

    def draw(i):
        all_at_once.wait()
        return drawn(i)

    feeds = [chunks(CPU, thread_safe=True, draw=draw) for _ in range(20)]
    x, _ = feeds[-1].examples(0, 95)  # chunk 0 is there before
    assert len(x) == 95


def test_the_chunks_drawn_ahead_keep_within_the_memory_for_data(monkeypatch):
    """Sixteen threads that hold a wide chunk each would take many times what a worker may keep."""
    monkeypatch.setattr("scaling.train.feed.feed.drawers", lambda kind: 16)
    size = sum(array.nbytes for array in (drawn(0).x, drawn(0).y))
    gc.collect()
    before = set(threading.enumerate())
    monkeypatch.setattr(MEMORY, "limit", 12 * size)
    go_on = threading.Event()

    def draw(i):
        go_on.wait(20)
        return drawn(i)

    feed = chunks(CPU, thread_safe=True, draw=draw)
    feed.examples(0, CHUNK)  # chunk 0 is there before
    assert len(set(threading.enumerate()) - before) == 3  # threads of tests before this one may end meanwhile
    go_on.set()
