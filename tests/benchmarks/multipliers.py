"""Measure how often the interval of a compute multiplier holds the truth, on simulated pairs of sweeps.

Run: python -m tests.benchmarks.multipliers [--sims 200]
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from analysis.estimates.multiplier import compare
from tests.analysis.worlds import pair

TRUE = (1.05, 1.1, 1.2, 1.5)


def main() -> None:
    """Print, for each true multiplier, the shares of intervals of it and of its trend that hold the truth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=200)
    sims = parser.parse_args().sims
    sys.stdout.write(
        "| true multiplier | pairs | multiplier inside | half-width | trend inside |\n|---|---|---|---|---|\n"
    )
    for true in TRUE:
        found = [compare(pair(true, np.random.default_rng([sim, 7])), resamples=300, starts=6) for sim in range(sims)]
        inside = np.mean([one.interval[0] <= true <= one.interval[1] for one in found])
        flat = np.mean([one.trend_interval[0] <= 0 <= one.trend_interval[1] for one in found])
        wide = np.mean([np.log(one.interval[1] / one.interval[0]) / 2 for one in found])
        line = f"| {true} | {sims} | {100 * inside:.1f} | {100 * wide:.1f} % | {100 * flat:.1f} |\n"
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    main()
