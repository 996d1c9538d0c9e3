from __future__ import annotations

import shutil

import pytest

from analysis.report.law_results import LawOptions
from analysis.report.page import write_report
from tests.analysis import worlds
from tests.analysis.worlds import World, write_results
from tests.page.browser import Browser


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    if not shutil.which("chromium"):
        pytest.skip("wants chromium: `make test-page` installs it")
    found = Browser(tmp_path_factory.mktemp("profile"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def report(tmp_path_factory):
    folder = write_results(worlds.small(), tmp_path_factory.mktemp("page"), "isoflop")
    return write_report(folder, law_options=LawOptions(resamples=40)).page


@pytest.fixture(scope="session")
def curves(tmp_path_factory):
    """A report of runs at a constant rate, with milestones."""
    table = worlds.curves(World(), widths=(8, 32, 128), milestones=5)
    folder = write_results(table, tmp_path_factory.mktemp("curves"), "curves")
    return write_report(folder, law_options=LawOptions(resamples=0)).page
