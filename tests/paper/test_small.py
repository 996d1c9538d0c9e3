"""Cuts of the small twins, trained for real; then the figures and tables that a report shows of them."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from analysis.conventions import with_paper_columns
from analysis.locality import read_filters
from analysis.specials import drawings, tables
from analysis.table import load_table
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


def test_the_scaling_sweep_gets_the_papers_figures_and_conventions(scaling):
    table, source = swept(
        scaling,
        "pretrain_scaling",
        "model.width=8,16",
        "data.size=200,400",
        "train.epochs=4",
        "train.milestones=[1,2,4]",
        "seed=0,1",
    )
    assert {"zhai"} <= set(shown(table, source))
    results, *conventions = tables(table, source)
    assert results.columns == ("model", "examples", "epochs", "fashion_mnist")
    assert len(results.rows) == 2 * 2 * 3
    assert all(len(one.rows) == 2 for one in conventions)


def test_filters_are_kept_beside_the_record_and_drawn(scaling):
    table, source = swept(
        scaling,
        "augmentation",
        "model.width=25",
        "data.size=200,400",
        "augment=none,crop_flip",
        "train.steps=10",
        "seed=0",
    )
    assert {"filters_1", "filters_2", "locality"} <= set(shown(table, source))
    for run_id in table["run_id"]:
        kept = read_filters(scaling.folder / "results" / "runs", run_id)
        assert kept.weights.shape == (25, 1, 28, 28)
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
    said = scaling("measure", "sweep=paper_small/efficiency", "model.width=16,32", "model.depth=1", "--device", "cpu")
    source = Path(scaling.folder) / "results" / "paper_small" / "efficiency"
    rows = list(csv.DictReader((source / "efficiency.csv").open()))
    assert len(rows) == 4
    assert said.count("examples/s") == 4
    bottleneck = next(row for row in rows if row["family"] == "bottleneck" and row["width"] == "32")
    assert float(bottleneck["forward_flops"]) == 2 * (784 * 32 + 8 * 32**2 + 320)
    assert all(float(row["throughput"]) > 1e3 * 0.9 / float(row["latency_ms"]) for row in rows)
    assert not (scaling.folder / "results" / "runs" / "nothing").exists()
    [table] = [one for one in tables(load_table(source), source) if one.name == "efficiency"]
    assert len(table.rows) == 4


def test_special_figures_are_drawn_and_tables_written(scaling, tmp_path):
    from analysis.gallery import pictures
    from analysis.text_table import write_tables

    source = scaling.folder / "results" / "paper_small" / "augmentation"
    table = load_table(source)
    [drawn] = pictures([], table, tmp_path, source)
    assert {"filters_1", "filters_2", "locality"} <= {picture.name for picture in drawn}
    assert (tmp_path / "locality.png").stat().st_size > 5_000
    write_tables(tables(table, source), tmp_path)
    assert (tmp_path / "results.tex").read_text().startswith(r"\begin{table}")
