"""Class-proportional, nested subsets: one seeded order in which every prefix has each class within one of its share.

To keep class c within one example of its share p_c at every length, its j-th example has to come at a position t (from
1) with (j - 1) / p_c < t < j / p_c + 1. Such an order exists for all shares (the chairman assignment problem, Tijdeman
1980, doi 10.1016/0012-365X(80)90269-1), and taking the earliest deadline first finds it, as it finds every feasible
schedule of unit jobs with whole release times.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import heappop, heappush

import numpy as np

from scaling.data.seeds import permutation

SLOTS = 1 << 20  # positions computed at a time, so that sets of many millions take little memory


def subset_order(labels: np.ndarray, *, seed: int, size: int | None = None) -> np.ndarray:
    """Return the first `size` example indices (all by default) of the seeded order of a labelled set, (size,) int64.

    Targets of a regression, which are no whole numbers, are of one class.
    """
    size = len(labels) if size is None else size
    labels = labels if labels.dtype.kind in "iu" else np.zeros(len(labels), dtype=np.int64)
    shuffled = permutation(len(labels), "subset", seed)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    starts = np.cumsum(counts) - counts
    sequence = class_sequence(counts, size, seed=seed)
    slots = np.argsort(sequence, kind="stable")
    taken = np.bincount(sequence, minlength=len(counts))
    order = np.empty(size, dtype=np.int64)
    order[slots] = by_class[np.concatenate([np.arange(s, s + n) for s, n in zip(starts, taken, strict=True)])]
    return order


def class_sequence(counts: np.ndarray, size: int, *, seed: int) -> np.ndarray:
    """Return the class at each of the first `size` positions, (size,) int64.

    counts: examples of each class, or any whole numbers in proportion to the shares; beyond their sum the sequence
    continues with the same shares; seed: decides between classes whose deadlines are equal.
    """
    ranks = permutation(len(counts), "classes", seed)  # class c stands at ranks == c
    held = np.asarray(counts, dtype=np.int64)[ranks]
    sequence = np.empty(size, dtype=np.int64)
    heap: list[int] = []  # deadline and rank in one whole number, which compares fastest
    for start, released in _released(held, size):
        chosen: list[int] = []
        for jobs in released:
            for job in jobs:
                heappush(heap, job)
            chosen.append(heappop(heap))
        sequence[start : start + len(chosen)] = chosen
    return ranks[sequence % len(held)]


def _released(held: np.ndarray, size: int) -> Iterator[tuple[int, list[list[int]]]]:
    """Yield the start of each stretch of positions and, for each position in it, the jobs released there."""
    total, classes = int(held.sum()), len(held)
    done = np.zeros(classes, dtype=np.int64)
    for start in range(0, size, SLOTS):
        stop = min(start + SLOTS, size)
        upto = -(-stop * held // total)  # jobs (j - 1) with (j - 1) * total / held < stop
        fresh = upto - done
        ranks = np.repeat(np.arange(classes), fresh)
        j = 1 + np.arange(fresh.sum()) - np.repeat(np.cumsum(fresh) - fresh, fresh) + done[ranks]
        release = (j - 1) * total // held[ranks]  # position counted from 0
        deadline = -(-j * total // held[ranks])
        jobs = (deadline * classes + ranks)[np.argsort(release, kind="stable")].tolist()
        ends = np.cumsum(np.bincount(release - start, minlength=stop - start)).tolist()
        yield start, [jobs[a:b] for a, b in zip([0, *ends], ends, strict=False)]
        done = upto
