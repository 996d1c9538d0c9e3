"""Cuts of the small twins, trained for real; then the figures and tables that a report shows of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from analysis.conventions import with_paper_columns
from analysis.gallery import pictures
from analysis.locality import read_filters
from analysis.specials import drawings, tables
from analysis.table import load_table
from analysis.text_table import write_tables
from scaling.data.fashion_mnist import FashionMnist

pytestmark = pytest.mark.skipif(
    not FashionMnist(classes=10).source().ready, reason="wants Fashion-MNIST (scaling data prepare fashion_mnist)"
)
QUICK = ("launcher.workers=1", "model.depth=1", "train.batch=100")


@pytest.fixture(scope="module")
def scaling(make_command_line):
    return make_command_line("paper")


def swept(scaling, name, *cut):
    scaling("run", f"sweep=paper_small/{name}", *QUICK, *cut)
    source = scaling.folder / "results" / "paper_small" / name
    table = load_table(source)
    assert set(table["status"]) == {"finished"}
    return table, source


def shown(table, source):
    return {name: (title, caption) for name, title, caption, *_ in drawings(table, source)}


@pytest.fixture(scope="module")
def scaled(scaling):
    """A cut of the scaling sweep that keeps its filters."""
    cut = ("model.width=8,25", "data.size=200,400", "train.epochs=4", "train.milestones=[1,2,4]", "seed=0")
    return swept(scaling, "pretrain_scaling", *cut, "train.filters=true")


def test_the_scaling_sweep_gets_the_papers_figures_and_conventions(scaled):
    assert {"zhai", "filters_1", "locality"} <= set(shown(*scaled))
    results, *conventions = tables(*scaled)
    assert results.columns == ("model", "examples", "epochs", "fashion_mnist")
    assert len(results.rows) == 2 * 2 * 3
    assert all(len(one.rows) == 2 for one in conventions)


def test_filters_are_kept_beside_the_record(scaled):
    table, source = scaled
    for run_id, width in zip(table["run_id"], table["width"], strict=True):
        kept = read_filters(source.parents[1] / "runs", run_id)
        assert kept.weights.shape == (width, 1, 28, 28)
        assert 0 < kept.score < 1


def test_a_probe_is_a_task_of_its_own_with_the_compute_of_its_parent(scaling):
    table, source = swept(
        scaling, "linear_probe", "model.width=8", "data.size=400", "train.epochs=1", "train.milestones=null"
    )
    probes = table[table["task"] == "probe:fashion_mnist"]
    trained = with_paper_columns(table[table["task"] == "test"])
    assert set(probes["C"]) <= set(trained["C"])
    [results] = [one for one in tables(table, source) if one.name == "results"]
    assert {"fashion_mnist", "probe:fashion_mnist", "probe:digits", "fewshot:fashion_mnist"} <= set(results.columns)


def test_models_are_measured_without_training(scaling):
    said = scaling("measure", "sweep=paper_small/efficiency", "model.width=32", "model.depth=1", "--device", "cpu")
    source = Path(scaling.folder) / "results" / "paper_small" / "efficiency"
    rows = list(csv.DictReader((source / "efficiency.csv").open()))
    assert len(rows) == 2
    assert said.count("examples/s") == 2
    bottleneck = next(row for row in rows if row["family"] == "bottleneck")
    assert float(bottleneck["forward_flops"]) == 2 * (784 * 32 + 8 * 32**2 + 320)
    assert all(float(row["throughput"]) > 1e3 * 0.9 / float(row["latency_ms"]) for row in rows)
    [table] = [one for one in tables(load_table(source), source) if one.name == "efficiency"]
    assert len(table.rows) == 2


def test_special_figures_are_drawn_and_tables_written(scaled, tmp_path):
    table, source = scaled
    [drawn] = pictures([], table[table["width"] == 25], tmp_path, source)
    assert {"filters_1", "locality"} <= {picture.name for picture in drawn}
    assert (tmp_path / "locality.png").stat().st_size > 5_000
    write_tables(tables(table, source), tmp_path)
    assert (tmp_path / "results.tex").read_text().startswith(r"\begin{table}")
