"""One report that several tests read, of a small sweep in which some runs went wrong."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.report.law_results import Resampling
from analysis.report.page import write_report
from tests.analysis import worlds
from tests.analysis.worlds import write_results

QUICK = Resampling(resamples=60)
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


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A report of an isoFLOP sweep in which some runs went wrong and one record was cut: its folder, what it says."""
    folder = write_results(troubled(worlds.small()), tmp_path_factory.mktemp("report"), "quickstart")
    (folder / "sweep.yaml").write_text(SWEEP)
    record = folder.parent / "runs" / worlds.small().loc[10, "run_id"] / "record.json"
    record.write_text(record.read_text()[:200])
    return folder, write_report(folder, resampling=QUICK)
