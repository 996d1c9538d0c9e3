"""What the tests of the analysis share: how many starts a fit has, and one report that several of them read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.laws import LAWS
from analysis.report.law_results import LawOptions
from analysis.report.page import write_report
from tests.analysis import worlds
from tests.analysis.worlds import write_results

QUICK = LawOptions(resamples=60)
SWEEP = """# @package _global_
# How does the loss fall with compute?
#
# Cost: a minute. Expected: C^-0.1 & N* < C.
sweep:
  grid: []
# command: scaling run sweep=quickstart
"""


def troubled(table):
    table = table.copy()
    table.loc[0, ["status", "loss"]] = ["diverged", np.nan]
    table.loc[1, "status"] = "failed"
    table.loc[2, "status"] = "missing"
    table.loc[3, "flags"] = "at_chance"
    return table


USUAL = dict(LAWS)
FEW = {name: replace(law, default_starts=min(16, law.default_starts)) for name, law in USUAL.items()}


@pytest.fixture(scope="session", autouse=True)
def few_starts():
    """Fit from a quarter of the usual starts, which is half the work, all but the tests of the search itself."""
    LAWS.update(FEW)
    yield
    LAWS.update(USUAL)


@pytest.fixture(scope="module")
def usual_starts(few_starts):
    LAWS.update(USUAL)
    yield
    LAWS.update(FEW)


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A report of an isoFLOP sweep in which some runs went wrong and one record was cut: its folder, what it says."""
    folder = write_results(troubled(worlds.small()), tmp_path_factory.mktemp("report"), "quickstart")
    (folder / "sweep.yaml").write_text(SWEEP)
    record = folder.parent / "runs" / worlds.small().loc[10, "run_id"] / "record.json"
    record.write_text(record.read_text()[:200])
    return folder, write_report(folder, law_options=QUICK)
