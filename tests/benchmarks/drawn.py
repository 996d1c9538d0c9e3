"""Measure how often verdicts are right about tables that are drawn anew each time, and write docs/coverage.md.

Run: python -m tests.benchmarks.drawn [--sims 100] [--results drawn.jsonl] [--only kink] [--write docs/coverage.md]

Tables that stand in the file of results already are not fitted again.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from analysis.errors import Refusal
from analysis.fitting.settings import settings_of
from analysis.fitting.verdict.fit_and_judge import fit_and_judge
from analysis.laws import get_law
from tests.benchmarks.drawn_tables import KINDS, draw

AHEAD = (3.0, 10.0)
"""Times beyond the largest inputs at which a forecast's interval is looked at."""
UNCLEAR = ("points per parameter", "not identified", "trade off", "no interval", "another optimum", "did not converge")
"""Words of reasons that say that the runs do not determine the law, not that the law is wrong."""


@dataclass(frozen=True)
class Judged:
    """One table: the status of its law, whether intervals at 3 x and 10 x the inputs hold the truth, the reasons."""

    kind: str
    sim: int
    status: str
    holds: tuple[bool, ...]
    reasons: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Tell whether the law is ok."""
        return self.status == "ok"

    @property
    def unclear(self) -> bool:
        """Tell whether the runs do not determine the law."""
        unclear = [any(words in reason for words in UNCLEAR) for reason in self.reasons]
        return self.status == "refused" or (self.status == "weak" and all(unclear))


def judged(kind: str, sim: int) -> Judged:
    """Fit one table and look at its certificate."""
    drawn = draw(kind, sim)
    x = None if drawn.law == "chinchilla" else "D"
    how = settings_of(x=x, resamples=200, starts=16, seed=sim)
    try:
        found = fit_and_judge(drawn.table, get_law(drawn.law), how, remedies=False)
    except Refusal as refusal:
        return Judged(kind, sim, "refused", (True, True), (str(refusal),))
    if found.certificate.status == "weak":
        return Judged(kind, sim, "weak", (True, True), found.certificate.reasons)
    if drawn.truth is None:
        return Judged(kind, sim, "ok", (False, False))
    names = ["D"] if x else ["N", "D"]
    at = pd.concat([times * drawn.table[names].max().to_frame().T for times in AHEAD], ignore_index=True)
    (low, high), true = found.interval(at), drawn.truth(at)
    return Judged(kind, sim, "ok", tuple(bool(x) for x in (low <= true) & (true <= high)))


def read(path: Path) -> dict[tuple[str, int], Judged]:
    """Read the results of earlier runs of this script."""
    lines = path.read_text().splitlines() if path.exists() else []
    found = [Judged(**json.loads(line)) for line in lines]
    return {(one.kind, one.sim): one for one in found}


def report(results: list[Judged]) -> str:
    """Write the shares of laws that are ok or not determined, and of misses, as a markdown table."""
    lines = [
        "| kind | tables | ok | undetermined or refused | miss at 3 x | miss at 10 x |",
        "|---|---|---|---|---|---|",
    ]
    for kind in KINDS:
        some = [one for one in results if one.kind == kind]
        if some:
            shares = [
                [one.ok for one in some],
                [not one.ok and one.unclear for one in some],
                *([one.ok and not one.holds[k] for one in some] for k in range(len(AHEAD))),
            ]
            cells = " | ".join(f"{100 * np.mean(share):.0f}" for share in shares)
            lines.append(f"| {kind} | {len(some)} | {cells} |")
    return "\n".join(lines)


def main() -> None:
    """Judge tables of all kinds in turn, print the shares and, if asked, write them into the document."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sims", type=int, default=100)
    parser.add_argument("--results", type=Path, default=Path("drawn.jsonl"))
    parser.add_argument("--only", default="")
    parser.add_argument("--write", type=Path)
    given = parser.parse_args()
    known = read(given.results)
    with given.results.open("a") as file:
        for sim in range(given.sims):
            for kind in KINDS:
                if given.only in kind and (kind, sim) not in known:
                    known[kind, sim] = judged(kind, sim)
                    print(json.dumps(asdict(known[kind, sim])), file=file, flush=True)
    text = report([one for one in known.values() if one.sim < given.sims])
    sys.stdout.write(f"{text}\n")
    if given.write:
        start, end = "<!-- drawn -->", "<!-- end of drawn -->"
        head, rest = given.write.read_text().split(start)
        given.write.write_text(f"{head}{start}\n\n{text}\n\n{end}{rest.split(end)[1]}")


if __name__ == "__main__":
    main()
