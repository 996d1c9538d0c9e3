"""Two groups side by side in one thing are compared in the report, with a figure and a sentence, or it says why not."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.errors import UserError
from analysis.estimates.selected import fit_selected
from analysis.report.compared import differences, side_by_side
from analysis.report.groups import split
from analysis.report.law_results import GroupResults, LawOptions, LawResult
from analysis.report.page import write_report
from analysis.table.remarks import with_pooled
from tests.analysis.worlds import pair


def schedules(times: float = 1.3) -> pd.DataFrame:
    groups = pair(times, np.random.default_rng(1)).items()
    return pd.concat([rows.assign(schedule=name, family="mlp") for name, rows in groups], ignore_index=True)


def results(table: pd.DataFrame, resamples: int = 60) -> list[GroupResults]:
    """Fit the law of N and D alone to each group, as a report does beside much else."""
    found = []
    for group in split(table)[0]:
        fit = fit_selected(group.rows, "chinchilla", y="loss", resamples=resamples)
        law = LawResult("", "chinchilla", "loss", None, fit, "", "")
        found.append(GroupResults(**vars(group), laws=(law,), frontiers={}, minima={}, allocation=None))
    return found


def test_kinds_that_the_reader_pools_are_one_group():
    table = schedules()
    assert len(split(table)[0]) == 2
    (group,), _ = split(with_pooled(table, ["schedule"]))
    assert len(group.rows) == len(table)
    assert group.subset.options(group.rows) == ' --pool "schedule"'
    with pytest.raises(UserError, match="found no column 'optimiser' to pool"):
        with_pooled(table, ["optimiser"])


def test_two_schedules_are_compared():
    groups = results(schedules())
    found, why = side_by_side(groups)
    assert why == ""
    assert found.sentence.startswith("schedule b needs 1.30× less compute [1.")
    refused = replace(groups[0], laws=(replace(groups[0].laws[0], fit=None),))
    said = "no comparison of schedule a and schedule b: schedule a has no law of N and D"
    assert side_by_side([refused, groups[1]]) == (None, said)
    bare = [replace(group, laws=(replace(group.laws[0], fit=replace_samples(group)),)) for group in groups]
    assert "found --resamples 0" in side_by_side(bare)[1]
    assert side_by_side(groups[:1]) == (None, "")
    assert side_by_side([replace(group, laws=()) for group in groups]) == (None, "")


def replace_samples(group: GroupResults):
    fit = group.laws[0].fit
    return replace(fit, engine=replace(fit.engine, samples=None))


def test_only_what_differs_in_one_thing_and_has_the_same_data():
    a = schedules().assign(data="images")
    b = a.assign(schedule="other")
    assert differences([a[a.schedule == "a"], b]) == ["schedule"]
    assert differences([a[a.schedule == "a"], b.assign(family="cnn")]) == ["family", "schedule"]
    assert differences([a[a.schedule == "a"], b.assign(data="words")]) == []


@pytest.mark.slow
def test_the_report_shows_it(tmp_path):
    schedules().assign(metric="cross_entropy").to_csv(tmp_path / "both.csv", index=False)
    report = write_report(tmp_path / "both.csv", out=tmp_path / "out", figures=True, law_options=LawOptions(60))
    [said] = json.loads((tmp_path / "out" / "fit.json").read_text())["comparisons"]
    assert said["verdict"] == "schedule b is better than schedule a"
    assert re.search(r"schedule b needs 1\.\S+ less compute \[1\.", report.page.read_text())
    assert {"comparison.png", "comparison.pdf"} <= {path.name for path in (tmp_path / "out" / "figures").iterdir()}
    [picture] = [one for one in report.pictures if one.name == "comparison"]
    assert len(picture.charts) == 2
    assert picture.charts[0]["y"]["label"] == "test cross-entropy (nats)"
