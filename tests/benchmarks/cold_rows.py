"""Random images of a mapped file that is not in memory: the rate of a run's batches beside the disk's own.

The disk's own rate is that of reads of the same size, at random places, past the system's memory, by many threads of
several processes. Before each measurement the file is dropped from the system's memory, which works for a file that no
process maps. By name only: python -m tests.benchmarks.cold_rows [cpu|cuda] [FOLDER on the disk] [IMAGES]
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")  # as for the workers of a sweep

import mmap
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np
import torch

from scaling.data import memory
from scaling.data.base import Arrays
from scaling.train.feed import mapped
from scaling.train.feed.feed import Epochs, batches
from scaling.train.feed.resident import bring

SHAPE, ROW_BYTES = (3, 64, 64), 3 * 64 * 64
BATCH = {"cpu": 1_024, "cuda": 16_384}
PROCESSES, THREADS, TURNS = 4, 16, 5


def write_images(path: Path, count: int) -> None:
    """Write random images, and wait until they are on the disk."""
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(count, *SHAPE))
    with path.open("r+b") as file:
        file.seek(path.stat().st_size - count * ROW_BYTES)
        for start in range(0, count, 4_096):
            file.write(np.random.default_rng(start).bytes(min(4_096, count - start) * ROW_BYTES))
        file.flush()
        os.fsync(file.fileno())


def drop(path: Path) -> None:
    """Drop a file that is not mapped from the system's memory."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def read_past_memory(path: Path, rows: list[int]) -> None:
    """Read blocks of a row's size past the system's memory, by several threads."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)

    def read(some: list[int]) -> None:
        with mmap.mmap(-1, ROW_BYTES) as block:  # such reads want whole pages
            for row in some:
                os.preadv(file, [block], row * ROW_BYTES)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(read, [rows[i::THREADS] for i in range(THREADS)]))
    os.close(file)


def disk_rate(path: Path, rows: list[int]) -> float:
    """Return the rows a second that the disk reads at random places, with PROCESSES * THREADS reads at a time."""
    drop(path)
    with get_context("fork").Pool(PROCESSES) as pool:
        parts = [(path, rows[i::PROCESSES]) for i in range(PROCESSES)]
        started = perf_counter()
        pool.starmap(read_past_memory, parts)
        return len(rows) / (perf_counter() - started)


def feed_rates(path: Path, device: torch.device, seed: int) -> tuple[float, float, float, float]:
    """Return images a second, and microseconds of CPU an image, of all batches of an epoch: cold, then again."""
    drop(path)
    images = np.load(path, mmap_mode="r")
    held = bring(Arrays(images, np.zeros(len(images), dtype=np.int64)), None, device, reads=0)
    batch = BATCH[device.type]
    cut = batches(Epochs(held, seed=seed), batch=batch, features=ROW_BYTES, device=device)
    next(iter(cut.between(0, 1)))  # draws the order
    measured = []
    for _ in range(2):
        started, cpu, count = perf_counter(), process_time(), 0
        for x, _ in cut.between(1, len(images) // batch):
            count += len(x)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        measured += [count / (perf_counter() - started), 1e6 * (process_time() - cpu) / count]
    return tuple(measured)


def main() -> None:
    """Print each turn, then the medians."""
    device = torch.device(sys.argv[1] if len(sys.argv) > 1 else "cpu")
    count = int(sys.argv[3]) if len(sys.argv) > 3 else 131_072
    torch.set_num_threads(1)
    memory.MAPPED_BYTES, mapped.HELD_SHARE = 0, 0.0  # as if it were too large
    with TemporaryDirectory(prefix="scaling-bench-", dir=sys.argv[2] if len(sys.argv) > 2 else None) as folder:
        path = Path(folder) / "images.npy"
        write_images(path, count)
        turns = []
        for seed in range(TURNS):
            disk = disk_rate(path, np.random.default_rng(seed).permutation(count - 1).tolist())
            cold, cold_cpu, hot, hot_cpu = feed_rates(path, device, seed)
            turns.append((disk, cold, cold / disk, hot))
            print(
                f"disk {disk:9,.0f} rows/s   cold {cold:9,.0f} images/s ({cold_cpu:.1f} us of CPU), {cold / disk:4.0%}"
                f"   hot {hot:9,.0f} images/s ({hot_cpu:.1f} us of CPU)",
                flush=True,
            )
        disk, cold, share, hot = (median(each) for each in zip(*turns, strict=True))
        print(f"median: disk {disk:,.0f}, cold {cold:,.0f}, cold by disk {share:.0%}, hot {hot:,.0f}")


if __name__ == "__main__":
    main()
