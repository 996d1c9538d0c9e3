"""Cuts of the small twins, trained for real; then the figures and tables that a report shows of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from analysis.estimates.conventions import with_paper_columns
from analysis.figures.paper.locality import read_filters
from analysis.report.case import cases_of
from analysis.report.law_results import LawOptions
from analysis.report.page import write_report
from analysis.report.tables.accuracy_table import efficiency_table, results_of
from analysis.table.read import load_table
from scaling.data.fashion_mnist import FashionMnist

pytestmark = pytest.mark.skipif(
    not FashionMnist(classes=10).source().ready, reason="wants Fashion-MNIST (scaling data prepare fashion_mnist)"
)
QUICK = ("launcher.workers=1", "model.depth=1", "train.batch=100", "train.device=cpu")


@pytest.fixture(scope="module")
def scaling(make_command_line):
    return make_command_line("paper")


def swept(scaling, name, *cut):
    scaling("run", f"sweep=paper_small/{name}", *QUICK, *cut)
    source = scaling.folder / "results" / "paper_small" / name
    table = load_table(source)
    assert set(table["status"]) == {"finished"}
    return table, source


@pytest.fixture(scope="module")
def scaled(scaling):
    """A cut of the scaling sweep that keeps its filters."""
    cut = ("model.width=8,25", "data.size=200,400", "train.epochs=4", "train.milestones=[1,2,4]", "seed=0")
    return swept(scaling, "pretrain_scaling", *cut, "train.filters=true")


@pytest.mark.slow
def test_the_scaling_sweep_gets_the_papers_figures_and_conventions(scaled, tmp_path):
    table, source = scaled
    pictures = {
        one.name: one for one in write_report(source, out=tmp_path, law_options=LawOptions(resamples=0)).pictures
    }
    assert {"zhai", "filters", "locality"} <= pictures.keys()
    assert b"random weights" in pictures["locality"].svg  # beside those of the runs
    conventions = (tmp_path / "tables" / "conventions.md").read_text()
    assert "| ours |" in conventions
    assert "| the paper's |" in conventions
    assert (tmp_path / "tables" / "results.tex").read_text().startswith(r"\begin{table}")
    results = results_of(cases_of(table, source))
    assert results.columns == ("model", "examples", "epochs", "fashion_mnist")
    assert len(results.rows) == 2 * 2 * 3
    assert [row[2] for row in results.rows[:3]] == ["1", "2", "4"]


@pytest.mark.slow
def test_filters_are_kept_beside_the_record(scaled):
    table, source = scaled
    for run_id, width in zip(table["run_id"], table["width"], strict=True):
        kept = read_filters(source.parents[1] / "runs", run_id)
        assert kept.weights.shape == (width, 1, 28, 28)
        assert 0 < kept.score < 1


@pytest.mark.slow
def test_a_probe_is_a_task_of_its_own_with_the_compute_of_its_parent(scaling):
    table, source = swept(
        scaling, "linear_probe", "model.width=8", "data.size=400", "train.epochs=1", "train.milestones=null"
    )
    probes = table[table["task"] == "probe:fashion_mnist"]
    trained = with_paper_columns(table[table["task"] == "test"])
    assert set(probes["C"]) <= set(trained["C"])
    results = results_of(cases_of(table, source))
    assert {"fashion_mnist", "probe:fashion_mnist", "probe:digits", "fewshot:fashion_mnist"} <= set(results.columns)


@pytest.mark.slow
def test_models_are_measured_without_training(scaling):
    said = scaling("measure", "sweep=paper_small/efficiency", "model.width=32", "model.depth=1", "--device", "cpu")
    source = Path(scaling.folder) / "results" / "paper_small" / "efficiency"
    rows = list(csv.DictReader((source / "efficiency.csv").open()))
    assert len(rows) == 2
    assert said.count("examples/s") == 2
    bottleneck = next(row for row in rows if row["family"] == "bottleneck")
    assert float(bottleneck["forward_flops"]) == 2 * (784 * 32 + 8 * 32**2 + 320)
    assert all(min(float(row["throughput"]), float(row["latency_ms"])) > 0 for row in rows)
    assert len(efficiency_table(source / "efficiency.csv").rows) == 2
