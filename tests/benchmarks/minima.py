"""Measure how often the intervals of N*(C) and its exponent from isoFLOP minima hold the truth; write docs/coverage.md.

Run: python -m tests.benchmarks.minima [--sims 400] [--write docs/coverage.md]
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.errors import Refusal
from analysis.estimates.isoflop import isoflop

AHEAD = (1.0, 3.0, 10.0)
"""Times the largest budget at which the interval is looked at."""
TRUE = "true law"
SHIFTED = "true law, 6 budgets of 8 sizes, one seed, noise 0.1 or 0.3 %, each grid shifted on its own"
BENT = {TRUE: 0.0, SHIFTED: 0.0, "optima that bend by 2 to 8 % a squared decade of C": 0.08}
"""Kinds of tables, with the largest bend."""


@dataclass(frozen=True)
class Judged:
    """One table: what came out, its noise, and whether the intervals hold the truth: of the exponent, N* at `AHEAD`."""

    status: str
    noise: float
    holds: tuple[bool, ...] = ()


def judged(kind: str, sim: int) -> Judged:
    """Draw a Chinchilla law and an isoFLOP design, find its minima, and compare N* with the truth."""
    rng = np.random.default_rng([sim, 77])
    alpha, beta = np.exp(rng.uniform(np.log(0.2), np.log(0.6), 2))
    noise, seeds = float(rng.choice([0.001, 0.003, 0.01, 0.02])), int(rng.choice([1, 1, 3]))
    shifted = kind == SHIFTED
    if shifted:
        noise, seeds = min(noise, 0.003), 1
    C = np.geomspace(1, 10 ** rng.uniform(1, 4), 6 if shifted else rng.integers(4, 9)) * 1e15
    bent = rng.choice([-1, 1]) * rng.uniform(0.25, 1) * BENT[kind]

    def best(C: np.ndarray) -> np.ndarray:
        return 1e6 * (C / 1e15) ** (beta / (alpha + beta)) * 10 ** (bent * np.log10(C / 1e15) ** 2)

    width, sizes = rng.uniform(4, 12), 8 if shifted else rng.integers(6, 14)
    around = np.geomspace(1 / width, width, sizes)
    shift = width ** rng.uniform(-0.3, 0.3, (len(C), 1) if shifted else (1, 1))
    floor = rng.uniform(0, 1.5)
    v, c = np.log(np.repeat(around, seeds) * shift * np.ones((len(C), 1))).ravel(), np.repeat(C, sizes * seeds)
    N = best(c) * np.exp(v)
    depth = (c / 1e15) ** (-alpha * beta / (alpha + beta)) * (beta * np.exp(-alpha * v) + alpha * np.exp(beta * v))
    loss = (floor + depth / (alpha + beta)) * np.exp(noise * rng.standard_normal(len(v)))
    table = pd.DataFrame({"N": N, "D": c / 6 / N, "C": c, "loss": loss, "seed": np.arange(len(v)) % seeds})
    try:
        found = isoflop(table, resamples=400)
    except Refusal:
        return Judged("refused", noise)
    if found.N_law is None:
        return Judged("no law", noise)
    ends = found.N_law.interval(C[-1] * np.array(AHEAD))
    if found.status == "weak" or ends is None:
        return Judged("weak", noise)
    true = best(C[-1] * np.array(AHEAD))
    low, high = found.N_law.exponent_interval or (np.nan, np.nan)
    exponent = bool(low <= beta / (alpha + beta) <= high)
    return Judged("ok", noise, (exponent, *(bool(x) for x in (ends[0] <= true) & (true <= ends[1]))))


def row(name: str, some: list[Judged]) -> str:
    """Write one row: shares of tables that are ok, weak and without a law; of those ok, of intervals that miss."""
    ok = [one for one in some if one.status == "ok"]
    weak = sum(one.status == "weak" for one in some)
    missed = [np.mean([not one.holds[k] for one in ok]) for k in range(1 + len(AHEAD))]
    shares = [*(k / len(some) for k in (len(ok), weak, len(some) - len(ok) - weak)), *missed]
    return f"| {name} | {len(some)} | " + " | ".join(f"{100 * share:.0f}" for share in shares) + " |"


def report(sims: int) -> str:
    """Judge tables of all kinds and write the shares as a markdown table."""
    missed = ("in the exponent", *(f"at {times:g} x" for times in AHEAD))
    heads = ("kind", "tables", "ok", "weak", "no law", *(f"ok that miss {where}" for where in missed))
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    for kind in BENT:
        found = [judged(kind, sim) for sim in range(sims)]
        lines.append(row(kind, found))
        if kind == TRUE:
            for noise in sorted({one.noise for one in found}):
                lines.append(row(f"of these, noise {100 * noise:g} %", [one for one in found if one.noise == noise]))
    return "\n".join(lines)


def main() -> None:
    """Print the table and, if asked, write it into the document between its marks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=400)
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    text = report(given.sims)
    sys.stdout.write(f"{text}\n")
    if given.write:
        start, end = "<!-- minima -->", "<!-- end of minima -->"
        head, rest = given.write.read_text().split(start)
        given.write.write_text(f"{head}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    main()
