"""Time the making of fresh examples."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter, thread_time
from typing import Any

import torch

from scaling.data.base import DataSet
from scaling.train.sizes import drawers


def draw_seconds(data: DataSet, where: torch.device) -> float:
    """Return the seconds of making one fresh example; for a GPU several threads make them while it trains."""
    stream: Any = data.load(None, stream_seed=1).train
    if where.type == "cpu":
        started = thread_time()
        made = len(stream.draw(0)) + len(stream.draw(1))
        return (thread_time() - started) / made
    threads = drawers(where.type)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(stream.draw, range(threads)))  # starts the threads
        started = perf_counter()
        made = sum(map(len, pool.map(stream.draw, range(threads, 3 * threads))))
        return (perf_counter() - started) / made
