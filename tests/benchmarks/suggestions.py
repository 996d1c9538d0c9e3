"""Measure `suggest`: on the runs of Farseer as ScaleBench packs them, at half the cost of a grid, and how long a round
takes.

Run: SCALING_REFERENCE_DIR=… python -m tests.benchmarks.suggestions [--repeats 10]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from analysis import fit, suggest
from scaling.commands.rounds.candidates import SEEDS
from tests.analysis.worlds import WIDTHS, World, isoflop, params

SHARES = (0.01, 0.05, 0.1)
START, CHEAPEST, MOST = 12, 60, 4
BUDGETS, BATCH, STEPS = (2e8, 5e8, 1e9, 2e9, 5e9, 1e10), 32, (300, 24_000)
"""Of sweeps/quickstart.yaml."""
BEGIN, ROUND = 15, 8
"""Cheapest runs to begin with, and runs in a round, on its cells."""
SEEDS_IN_ALL = 40
"""Seeds that each of its cells has, more than are ever run; a round offers as many new ones as `scaling suggest`."""
COUNT = 2_000
"""Candidates of the round that is timed."""


def farseer() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the pool, with its cost 6 N D, and the target."""
    folder = Path(os.environ["SCALING_REFERENCE_DIR"]) / "scalebench_farseer"
    pool, target = (pd.read_csv(folder / f"farseer_{part}.csv") for part in ("train", "test"))
    return pool.assign(cost=6 * pool.N * pool.D), target


def r2(truth: np.ndarray, said: np.ndarray) -> float:
    """Return R2 clipped to [-1, 1], as ScaleBench does."""
    return float(np.clip(1 - ((truth - said) ** 2).sum() / ((truth - truth.mean()) ** 2).sum(), -1, 1))


def repeat(seed: int) -> Iterator[float]:
    """Choose within each share of the pool's cost, starting from rows of the cheapest, and yield R2 at the target."""
    pool, target = farseer()
    cheapest = pool.sort_values("cost").index[:CHEAPEST]
    have = list(np.random.default_rng(seed).choice(cheapest, START, replace=False))
    for share in SHARES:
        while True:
            left = share * pool.cost.sum() - pool.cost[have].sum()
            rest = pool.drop(index=have)
            found = suggest(pool.loc[have], "farseer", pool=rest, target=target, limit=left, most=MOST, seed=seed)
            have += list(found.rows)
            if not found.rows:
                break
        assert pool.cost[have].sum() <= share * pool.cost.sum()
        law = fit(pool.loc[have], "farseer", resamples=0)
        yield r2(target.loss.to_numpy(), law.predict(target))


def cells(seeds: int) -> pd.DataFrame:
    """Return the runs of sweeps/quickstart.yaml, with so many seeds."""
    every = [(budget, width, seed) for budget in BUDGETS for width in WIDTHS for seed in range(seeds)]
    budget, width, seed = (np.array(values, dtype=float) for values in zip(*every, strict=True))
    N = params(width)
    steps = np.floor(budget / (6 * N * BATCH))
    table = pd.DataFrame({"N": N, "D": steps * BATCH, "cost": 6 * N * steps * BATCH, "seed": seed})
    return table[(steps >= STEPS[0]) & (steps <= STEPS[1])].reset_index(drop=True)


def half_grid(seed: int) -> Iterator[float]:
    """Yield half-widths of the interval of N*'s exponent: of the whole grid, of half its cost drawn at random, and of
    half its cost as suggested round by round; then how far the last was off, and its share of the cost."""
    world, rng, grid = World(), np.random.default_rng(seed), cells(3)
    half = grid.cost.sum() / 2

    def made(rows: pd.DataFrame) -> pd.DataFrame:
        noise = np.exp(world.noise * rng.standard_normal(len(rows)))
        return rows.assign(loss=world.loss(rows.N.to_numpy(), rows.D.to_numpy()) * noise)

    def half_width(table: pd.DataFrame) -> float:
        low, high = fit(table, resamples=200, starts=8).allocation.N_exponent_interval
        return float(high - low) / 2

    yield half_width(made(grid))
    drawn = grid.sample(frac=1, random_state=seed)
    yield half_width(made(drawn[drawn.cost.cumsum() <= half]))
    pool, target = cells(SEEDS_IN_ALL), pd.DataFrame({"C": [max(BUDGETS)]})
    first = pool[pool.seed == 0].nsmallest(BEGIN, "cost").index
    have, pool = made(pool.loc[first]), pool.drop(index=first)
    while (left := half - have.cost.sum()) > 0:
        offered = pool.groupby(["N", "D"]).head(SEEDS)
        found = suggest(have, pool=offered, target=target, limit=left, most=ROUND, of="N_exponent", seed=seed)
        if not found.rows:
            break
        have, pool = pd.concat([have, made(pool.loc[list(found.rows)])]), pool.drop(index=list(found.rows))
    yield half_width(have)
    yield abs(fit(have, resamples=0).allocation.N_exponent - world.exponent)
    yield have.cost.sum() / half / 2


def seconds_of_a_round() -> float:
    """Return the CPU seconds of one round over many candidates, 180 runs known."""
    rng, table = np.random.default_rng(0), isoflop(World())
    N, C = (np.exp(rng.uniform(*np.log(ends), COUNT)) for ends in ((100, 1e5), (1e8, 1e11)))
    pool, target = pd.DataFrame({"N": N, "D": C / (6 * N), "cost": C}), pd.DataFrame({"N": [6e4], "D": [2e6]})
    began = time.process_time()
    suggest(table, pool=pool, target=target, limit=2e11, most=8)
    return time.process_time() - began


def main() -> None:
    """Print intervals at half the cost, the seconds of a round, and R2 at each share: of each repeat, and the mean."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    repeats = parser.parse_args().repeats
    halves = np.array([list(half_grid(seed)) for seed in range(repeats)]).mean(axis=0)
    sys.stdout.write(
        "half-width of N*'s exponent: {:.4f} of the whole grid, {:.4f} of half at random, {:.4f} as suggested "
        "(off by {:.4f}) for {:.2f} of the cost\n".format(*halves)
    )
    sys.stdout.write(f"a round over {COUNT:,} candidates: {seconds_of_a_round():.2f} s of CPU\n")
    found = []
    for seed in range(repeats):
        found.append(list(repeat(seed)))
        sys.stdout.write(f"{seed}: {', '.join(f'{value:.3f}' for value in found[-1])}\n")
        sys.stdout.flush()
    sys.stdout.write(f"mean of {repeats}: {', '.join(f'{value:.3f}' for value in np.mean(found, axis=0))}\n")


if __name__ == "__main__":
    main()
