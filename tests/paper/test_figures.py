"""What the paper's figures say of worlds whose answers are known."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from analysis.cli import cli
from analysis.errors import Refusal
from analysis.estimates.conventions import OURS, PAPER, exponents, with_paper_columns
from analysis.estimates.frontier import frontier
from analysis.estimates.frontier_law import fit_frontier
from analysis.estimates.ratio import ratio_at_equal_compute
from analysis.figures.allocation import allocation_numbers
from analysis.figures.paper.ablation import ablation_numbers, variant_of, variants_of
from analysis.figures.paper.batches import batch_numbers
from analysis.figures.paper.filters import locality_lines, mosaic, mosaics
from analysis.figures.paper.locality import Filters, locality
from analysis.figures.paper.shapes import shape_numbers
from analysis.figures.paper.zhai import zhai_numbers
from analysis.report.case import Case, epoch_groups, is_ablation, is_scaling, rounded
from analysis.report.law_results import LawOptions
from analysis.report.paper_figures import ablation, augmentations, crops, shapes
from analysis.report.tables.accuracy_table import efficiency_table, result_table
from analysis.report.tables.convention_table import convention_table
from analysis.report.tables.text_table import TextTable
from analysis.wording import symbol


def world(alpha=0.5, beta=0.5, seeds=1, noise=0.0, epochs=(10.0, 20.0)):
    """Bottlenecks of depth 2 on 784 pixels whose error is A/N^alpha + B/D^beta, balanced within the grid."""
    rng = np.random.default_rng(0)
    rows = []
    for width in (16, 24, 32, 48, 64, 96, 128, 192, 256):
        N = 784 * width + 16 * width**2 + 10 * width
        for examples in np.geomspace(2_000, 300_000, 9):
            for seed in range(seeds):
                for T in epochs:
                    D = examples * T
                    error = (N / 1e5) ** -alpha * 0.1 + (D / 1e6) ** -beta * 0.1
                    rows.append(
                        {
                            "run_id": f"{width}-{examples:.0f}-{seed}",
                            "family": "bottleneck",
                            "width": width,
                            "depth": 2,
                            "data": "x",
                            "D_unique": examples,
                            "seed": seed,
                            "N": N,
                            "N_total": N + 20 * width + 10,
                            "D": D,
                            "C": 6.0 * N * D,
                            "epochs": T,
                            "final": max(epochs) == T,
                            "error": error * np.exp(noise * rng.standard_normal()),
                        }
                    )
    return pd.DataFrame(rows)


def test_the_papers_compute_is_that_of_the_accounting():
    from scaling.accounting import count, paper_C
    from scaling.models.bottleneck import Bottleneck

    counts = count(Bottleneck(width=512, depth=6).layers((3, 64, 64), 10))
    D = 9_469 * 160
    table = pd.DataFrame([{"family": "bottleneck", "width": 512, "depth": 6, "C": counts.C(D), "D": D}])
    assert (
        with_paper_columns(table)["C_paper"].iloc[0] == paper_C(counts, D, norm_elements=6 * 512) == 85_879_351_541_760
    )
    other = table.assign(family="mine")
    assert "C_paper" not in with_paper_columns(other)


@pytest.mark.slow
def test_a_frontier_has_the_exponents_of_its_world_in_both_conventions():
    ours, papers = exponents(with_paper_columns(world()), "error", resamples=0)
    assert (ours.convention, papers.convention) == (OURS, PAPER)
    error, N, D = ours.lines
    assert error.exponent == pytest.approx(-0.25, abs=0.02)
    assert N.exponent == pytest.approx(0.5, abs=0.06)
    assert D.exponent == pytest.approx(1 - N.exponent, abs=0.05)
    assert papers.lines[1].exponent == pytest.approx(N.exponent, abs=0.05)  # N_total is nearly N here


@pytest.mark.slow
def test_the_conventions_table_says_what_moves():
    found = exponents(with_paper_columns(world(seeds=2, noise=0.02)), "error", resamples=40)
    table = convention_table(found, "error", "probe:digits")
    assert [row[0] for row in table.rows] == ["ours", "the paper's"]
    assert table.rows[0][1].startswith("−0.2")
    moved = found[1].lines[1].exponent - found[0].lines[1].exponent
    assert f"best N by {moved:+.3f} (intervals overlap)".replace("-", "−") in table.note
    assert "N_total and C_paper" in table.note
    assert convention_table(found[:1], "error") is None


@pytest.mark.slow
def test_the_figure_and_the_conventions_table_give_one_interval():
    rows = with_paper_columns(world(seeds=2, noise=0.02))
    found = exponents(rows, "error", resamples=40)
    laws = [fit_frontier(one.front, "power", resamples=40) for one in found]
    wide = [replace(law, intervals={**law.intervals, "alpha": (0.1, 0.4)}) for law in laws]  # wider than the line's
    powers = [replace(one, law=law) for one, law in zip(found, wide, strict=True)]
    assert zhai_numbers(rows, "error", powers[0]).curve.interval == "[−0.400, −0.100]"
    assert convention_table(powers, "error").rows[0][1].endswith("[−0.400, −0.100]")
    inside, at_edge = (
        replace(powers[0].front, points=tuple(replace(point, edge=edge) for point in powers[0].front.points))
        for edge in (False, True)
    )
    assert zhai_numbers(rows, "error", replace(powers[0], front=at_edge)).curve.weak
    assert zhai_numbers(rows, "error", replace(powers[0], front=inside)).curve.weak == (
        wide[0].certificate.status == "weak"
    )


@pytest.mark.slow
def test_the_zhai_figure_joins_a_model_and_a_data_set_over_its_epochs():
    rows = with_paper_columns(world())
    numbers = zhai_numbers(rows, "error", exponents(rows, "error", resamples=0)[0])
    assert len(numbers.series) == 81
    assert all(len(one.C) == 2 and one.C[1] == 2 * one.C[0] for one in numbers.series)
    assert numbers.curve is not None


def test_lengths_that_whole_batches_made_unequal_are_one_length():
    rows = pd.DataFrame({"epochs": [1.2288, 1.2459, 2.4576, 2.5, 19.98, 20.0]})
    assert list(epoch_groups(rows)) == [1.25, 1.25, 2.5, 2.5, 20.0, 20.0]
    assert list(epoch_groups(rows.assign(D_unique=[9, 1, 1, 9, 1, 9]))) == [1.23, 1.23, 2.5, 2.5, 20.0, 20.0]
    assert rounded(799.9) == 800


def test_allocation_at_fixed_epochs_recovers_the_exponents():
    rows = world(alpha=0.6, beta=0.4, epochs=(10.0,))
    N, D = allocation_numbers(rows, "error", OURS, epochs=10.0)
    slope = float(N.curve.text.split("C^{")[1].split("}")[0])
    assert slope == pytest.approx(0.4, abs=0.08)
    assert float(D.curve.text.split("C^{")[1].split("}")[0]) == pytest.approx(1 - slope, abs=0.01)


def test_allocation_draws_no_line_through_one_size():
    rows = world(epochs=(10.0,))
    rows = rows[rows["width"].isin((16, 24, 32))]
    N, _ = allocation_numbers(rows, "error", OURS, epochs=10.0)
    assert N.curve is None
    assert N.edge.any()


def test_a_scaling_sweep_is_told_from_others():
    rows = world()
    assert is_scaling(rows)
    assert not is_scaling(rows[rows["width"] == 16])
    assert not is_scaling(rows.assign(batch=np.arange(len(rows)) % 2))


def test_each_batch_is_judged_at_its_best_rate_on_validation():
    rows = pd.DataFrame(
        [
            {
                "batch": batch,
                "lr": lr,
                "step": 1024 // batch * 100,
                "D": 102_400 - batch,
                "error": error,
                "val_error": val,
            }
            for batch in (128, 256, 1024)
            for lr, error, val in ((1e-3, 0.30, 0.2), (1e-2, 0.10, 0.4))
        ]
    )
    numbers = batch_numbers(rows, "error", of="examples")
    [line] = numbers.lines
    assert list(line.lr) == [1e-3] * 3  # the better test error was not chosen: validation said otherwise
    assert list(line.mean) == [0.30] * 3
    assert numbers.tuned
    assert not batch_numbers(rows, "error", of="steps").lines


def test_components_are_named_by_what_they_change():
    assert variant_of("seed=0") == "base"
    assert variant_of("model.skip=False seed=1") == "skip=False"
    assert variant_of("optim=adamw optim.lr=0.002 seed=2") == "optim=adamw, optim.lr=0.002"
    assert variant_of("train.milestones=[1, 2] train.clip=1 seed=2") == "clip=1"


def test_a_learning_rate_that_every_run_has_is_no_change_where_each_change_has_one():
    tuned = ["optim.lr=0.001 seed=0", "optim.lr=0.001 seed=1", "model.skip=False optim.lr=0.002 seed=0"]
    assert list(variants_of(pd.Series(tuned))) == ["base", "base", "skip=False"]
    two = [*tuned, "optim.lr=0.003 seed=2"]
    assert list(variants_of(pd.Series(two)))[-1] == "optim.lr=0.003"
    one = ["seed=0", "optim=adamw optim.lr=0.002 seed=0"]
    assert list(variants_of(pd.Series(one))) == ["base", "optim=adamw, optim.lr=0.002"]


@pytest.mark.slow
def test_an_ablation_shows_a_difference_and_none():
    means = {"seed=": 0.1, "model.skip=False seed=": 0.2, "train.clip=1 seed=": 0.1, "optim=sgd seed=": 0.05}
    rows = pd.DataFrame(
        [
            {"overrides": f"{key}{seed}", "C": 1e9, "final": True, "error": mean + 1e-3 * (seed - 1.5)}
            for key, mean in means.items()
            for seed in range(4)
        ]
    )
    assert is_ablation(rows)
    assert not is_ablation(rows.assign(C=np.arange(1, len(rows) + 1.0)))
    numbers = ablation_numbers(rows, "error")
    assert [variant.name for variant in numbers.variants] == ["optim=sgd", "clip=1", "skip=False"]
    sgd, clip, skip = numbers.variants
    assert sgd.interval[1] < 0 < skip.interval[0]
    assert clip.interval[0] < 0 < clip.interval[1]
    for level, wrong in ((0.95, "5 %"), (0.8, "20 %")):  # the figure takes the level of the report
        [drawn] = ablation(Case(rows, Path("nowhere"), None, LawOptions(level=level)))
        assert f"each wrong in {wrong} of cases" in drawn.caption


def test_locality_is_nothing_for_even_filters_and_one_for_a_window():
    even = np.ones((1, 3, 28, 28))
    window = np.zeros((2, 1, 28, 28))
    window[0, 0, 3:10, 5:12] = 1.0
    window[1, 0, 20, 20] = -4.0
    noise = np.random.default_rng(0).uniform(-1, 1, (200, 1, 28, 28))
    assert locality(even) == pytest.approx([0.0], abs=1e-12)
    assert locality(window) == pytest.approx([1.0, 1.0])
    assert locality(noise).mean() < 0.05
    assert list(locality(np.zeros((1, 1, 8, 8)))) == [0.0]
    assert locality(np.roll(window, 4, axis=3)) == pytest.approx([1.0, 1.0])


def test_a_mosaic_shows_the_strongest_filters():
    weights = np.random.default_rng(1).standard_normal((30, 2, 4, 4)).astype(np.float32)
    weights[7] *= 10
    picture = mosaic(Filters("x", weights, locality(weights)), "t").picture
    assert picture.shape == (5 * 5 - 1, 5 * 5 - 1)
    assert np.nanmax(picture) == 1.0
    strongest = np.abs(weights[7]).max(axis=0)
    assert picture[:4, :4] == pytest.approx(strongest / strongest.max())


@pytest.mark.slow
def test_equal_compute_is_tested_over_seeds_with_the_stated_error_rate():
    rng = np.random.default_rng(0)

    def runs(factor, noise=0.03, seeds=4):
        C = np.geomspace(1e8, 1e10, 6)
        return pd.concat(
            [
                pd.DataFrame({"C": C, "seed": seed, "error": factor * C**-0.2 * np.exp(noise * rng.standard_normal(6))})
                for seed in range(seeds)
            ]
        )

    better = ratio_at_equal_compute(runs(0.8), runs(1.0), "error")
    assert better.differs
    assert better.interval[0] < 0.8 < better.interval[1]
    claims = [ratio_at_equal_compute(runs(1.0), runs(1.0), "error").differs for _ in range(100)]
    assert np.mean(claims) <= 0.12  # 5 % are false by construction; more than 12 of 100 have odds of 1 to 700
    with pytest.raises(Refusal, match="seeds"):
        ratio_at_equal_compute(runs(1.0, seeds=1), runs(1.0, seeds=1), "error")


def test_a_result_table_has_means_and_deviations_by_task():
    rows = pd.DataFrame(
        [
            {"family": family, "depth": 6, "width": 1024, "task": task, "data": "cifar10", "error": error + 0.01 * seed}
            for family, error in (("mlp", 0.4), ("bottleneck", 0.3))
            for task in ("test", "probe:digits")
            for seed in (0, 1)
        ]
    )
    table = result_table(rows)
    assert table.columns == ("model", "cifar10", "probe:digits")
    assert table.rows[0] == ("S-6/Wi-1024", "59.5 ± 0.7", "59.5 ± 0.7")
    assert "| B-6/Wi-1024 | 69.5 ± 0.7 |" in table.markdown()
    assert r"S-6/Wi-1024 & 59.5 $\pm$ 0.7 & 59.5 $\pm$ 0.7 \\" in table.latex()
    assert result_table(rows[rows["family"] == "mlp"]) is None
    assert symbol("bottleneck", 12, 512) == "B-12/Wi-512"


@pytest.mark.parametrize(
    "column",
    ["model.dropout", "model.kwargs.blocks", "data.noise", "expansion", "precision", "engine", "D", "cooldown"],
)
def test_a_result_table_averages_over_seeds_alone(column):
    """Whatever else the runs of a sweep, or of another table, differ in is a column of its own."""
    rows = pd.DataFrame(
        [
            {"family": "mlp", "depth": 2, "width": width, column: value, "seed": seed, "loss": loss + 0.01 * seed}
            for width in (8, 16)
            for value, loss in ((1.0, 1.0), (2.0, 2.0))
            for seed in (0, 1)
        ]
    )
    table = result_table(rows, "loss", ["cooldown"])
    assert sorted(row[-1] for row in table.rows) == ["1.0050 ± 0.0071"] * 2 + ["2.0050 ± 0.0071"] * 2
    assert len(table.columns) == 3
    assert table.note == "Mean ± standard deviation over 2 seeds."


def test_a_result_table_averages_over_no_compute():
    """Runs of a table of others may differ in C alone, or in an amount of training that no known column tells."""
    rows = pd.DataFrame({"width": [8, 8, 16, 16] * 2, "hours": [1, 2] * 4, "loss": [3.0, 2.0, 2.5, 1.0] * 2})
    assert result_table(rows, "loss", ["width"]) is None
    table = result_table(rows.assign(C=1e9 * rows["hours"]), "loss", ["width"])
    assert table.columns == ("compute (FLOPs)", "width", "test")
    assert len(table.rows) == 4
    measured = 1e9 + 1e6 * np.arange(8)
    assert len(result_table(rows.assign(C=measured), "loss", ["width"]).rows) == 2


def test_a_setting_that_another_tells_is_no_column():
    rows = pd.DataFrame({"family": "mlp", "depth": 2, "width": [8, 16], "loss": [2.0, 1.0], "D": [1000, 1010]})
    presets = rows.assign(**{"model.kwargs.size": ["small", "base"]})
    assert result_table(presets, "loss").columns == ("model", "test")


def test_latex_escapes_what_it_must():
    text = TextTable("t", "50 % of a_b", ("x & y",), (("1 ± 2",),)).latex()
    assert r"50 \% of a\_b" in text
    assert r"x \& y" in text


def test_without_measurements_there_is_no_efficiency_table(tmp_path):
    assert efficiency_table(tmp_path / "efficiency.csv") is None


def test_filters_without_images_are_none(tmp_path):
    from analysis.figures.paper.locality import read_filters

    assert read_filters(tmp_path, "absent") is None
    torch = pytest.importorskip("torch")
    from scaling.train.output.filters import keep_filters

    (tmp_path / "r").mkdir()
    body = torch.nn.Sequential(torch.nn.Linear(12, 5), torch.nn.Linear(5, 3))
    assert keep_filters(tmp_path / "r", body, (12,))
    assert read_filters(tmp_path, "r") is None
    assert keep_filters(tmp_path / "r", body, (3, 2, 2))
    assert read_filters(tmp_path, "r").weights.shape == (5, 3, 2, 2)
    assert not keep_filters(tmp_path / "r", body, (7,))


def case(rows, task=None):
    """A case of settled rows that stand in a table as they are."""
    return Case(rows, Path("nowhere"), task)


def test_depth_and_width_are_compared_at_equal_compute():
    rows = pd.DataFrame(
        [
            {
                "family": "bottleneck",
                "depth": depth,
                "width": width,
                "budget": budget,
                "seed": seed,
                "N": 100 * width + 8 * depth * width**2,
                "augment": "none",
                "error": 0.1 + 0.02 * abs(np.log2(width / best)) + 0.01 * depth + 1e-3 * seed,
                "loss": 1.0,
            }
            for budget, best in ((1e9, 32), (4e9, 64))
            for depth in (1, 2, 4)
            for width in (16, 32, 64, 128)
            for seed in (0, 1)
        ]
    )
    panels = shape_numbers(rows, "error")
    assert [(one.budget, one.best[:2]) for one in panels] == [(1e9, (1, 32)), (4e9, (1, 64))]
    assert all(one.edge for one in panels)  # depth 1 is the least
    assert [len(line.x) for line in panels[0].lines] == [4, 4, 4]
    assert panels[0].lines[0].high == pytest.approx(panels[0].lines[0].low + 1e-3)
    [drawn] = shapes(case(rows))
    assert "10⁹ FLOPs: depth 1, width 32 (0.1105, an edge of the grid)" in drawn.caption
    assert not list(shapes(case(rows[rows["depth"] < 4])))
    assert not list(shapes(case(rows.assign(budget=np.nan))))


def test_augmentations_are_lines_over_the_size_of_the_data_set():
    rows = pd.DataFrame(
        [
            {"augment": augment, "D_unique": D, "N": 1e5, "step": 800, "error": a * D**-0.2, "loss": 1.0}
            for augment, a in (("none", 1.0), ("standard", 0.8))
            for D in (1e3, 4e3, 16e3)
        ]
    )
    [drawn] = augmentations(case(rows))
    [draw] = drawn.draw
    lines = draw.keywords["numbers"].lines
    assert [line.name for line in lines] == ["no augmentation", "crops, flips, MixUp"]
    assert lines[1].mean == pytest.approx(0.8 * lines[0].mean)
    assert not list(augmentations(case(rows.assign(N=[1, 2] * 3))))
    assert not list(augmentations(case(rows[rows["augment"] == "none"])))


def test_crops_are_shown_beside_the_plain_prediction():
    plain = [{"run_id": f"t{s}", "task": "test", "stage": "train", "error": 0.2, "seed": s} for s in (0, 1)]
    judged = [
        {
            "run_id": f"c{s}{n}{how}",
            "task": "tta:x",
            "stage": "tta",
            "origin": f"t{s}",
            "seed": s,
            "stage_recipe": f"tta[crops={n}{how}]",
            "error": 0.3 - 0.01 * np.log2(n),
        }
        for s in (0, 1)
        for n in (1, 4, 16)
        for how in ("", ",average=logits")
    ]
    rows = pd.DataFrame([*plain, *judged]).assign(augment="standard", family="bottleneck", loss=1.0, data="x")
    [drawn] = crops(case(rows, "tta:x"))
    [line] = drawn.draw[0].keywords["numbers"].lines
    assert list(line.x) == [1, 4, 16]
    assert line.level == pytest.approx(0.2)
    assert not list(crops(case(rows, "test")))
    table = result_table(rows)
    assert table.columns == ("stage", "x")
    assert table.rows[:2] == (("plain", "80.0 ± 0.0"), ("tta crops=1", "70.0 ± 0.0"))


def test_locality_has_a_curve_for_each_model_and_a_grid_by_data_set():
    rng = np.random.default_rng(0)
    rows, kept = [], {}
    for N, width in ((1e4, 16), (1e5, 64)):
        for i, D in enumerate((100, 200, 400, 800, 1600)):
            for seed in (0, 1):
                weights = rng.standard_normal((width, 1, 8, 8))
                weights[:, :, :2, :2] *= 1 + i  # more data, more local
                run_id = f"{width}-{D}-{seed}"
                kept[run_id] = Filters(run_id, weights, locality(weights))
                rows.append(
                    {"run_id": run_id, "seed": seed, "augment": "none", "D_unique": D, "N": N}
                    | {"family": "bottleneck", "depth": 2, "width": width}
                )
    table = pd.DataFrame(rows)
    lines = locality_lines(table, kept)
    assert [line.name for line in lines] == ["B-2/Wi-16", "B-2/Wi-64"]
    assert all((np.diff(line.mean) > 0).all() for line in lines)
    columns, grid = mosaics(table, kept)
    assert columns == 4
    assert [one.side for one in grid] == ["B-2/Wi-16", "", "", "", "B-2/Wi-64", "", "", ""]
    assert [one.title.split(":")[0] for one in grid[:4]] == [f"{D:,} examples" for D in (100, 200, 800, 1600)]
    both = pd.concat([table, table.assign(augment="standard", run_id=table["run_id"] + "s")])
    kept |= {f"{name}s": one for name, one in kept.items()}
    columns, grid = mosaics(both, kept)
    assert [one.side for one in grid if one.side] == ["no augmentation", "crops, flips, MixUp"]
    assert [line.name for line in locality_lines(both, kept)][-1] == "crops, flips, MixUp, B-2/Wi-64"


def test_powers_of_ten_are_latex_in_a_latex_table():
    assert TextTable("t", "", ("a",), (("(3.18 ± 0.12)×10⁻¹⁰",),)).latex().splitlines()[6] == (
        r"(3.18 $\pm$ 0.12)$\times$10$^{-10}$ \\"
    )


def test_lines_of_a_table_are_in_order_and_its_settings_readable():
    rows = pd.DataFrame(
        [
            {"family": family, "depth": 2, "width": 64, "D_unique": D, "lr": lr, "seed": seed, "loss": 3e-10 * D / lr}
            for D in (60000, 1875)
            for lr in (1e-2, 2.5e-4)
            for family in ("mlp", "bottleneck")
            for seed in (0, 1)
        ]
    )
    table = result_table(rows, "loss")
    assert table.columns == ("model", "learning rate", "examples", "test")
    assert [row[:3] for row in table.rows[:4]] == [
        ("S-2/Wi-64", "2.5×10⁻⁴", "1,875"),
        ("S-2/Wi-64", "2.5×10⁻⁴", "60,000"),
        ("S-2/Wi-64", "0.01", "1,875"),
        ("S-2/Wi-64", "0.01", "60,000"),
    ]
    assert table.right == (1, 2, 3)
    assert table.note == "Mean ± standard deviation over 2 seeds."
    assert result_table(rows.assign(seed=0), "loss").note.endswith("over 2 runs.")


def test_efficiency_has_three_digits_each(tmp_path):
    path = tmp_path / "efficiency.csv"
    row = {"family": "mlp", "depth": 2, "width": 64, "N_total": 59210, "forward_flops": 2.5e6, "latency_ms": 0.06641}
    row |= {"throughput": 279676.4, "best_batch": 1024, "memory_bytes": 47.02e6, "device": "x", "precision": "fp32"}
    pd.DataFrame([{**row, "threads": 1}]).to_csv(path)
    table = efficiency_table(path)
    assert table.rows[0] == ("S-2/Wi-64", "59,210", "2.50", "0.0664", "280,000", "1,024", "47.0")
    assert table.note.endswith("fp32, 1 thread; latency of one image.")


def test_any_law_can_be_shown_in_the_papers_convention(tmp_path):
    table = world(seeds=2, noise=0.01).assign(loss=lambda t: t["error"])
    table.to_csv(tmp_path / "table.csv")
    counted = with_paper_columns(table)
    found = {}
    for convention, rows in (("ours", table), ("paper", counted.assign(N=counted["N_total"], C=counted["C_paper"]))):
        options = ["--y", "error", "--resamples", "0", "--convention", convention, "--json", "-"]
        said = CliRunner().invoke(cli, ["frontier", str(tmp_path / "table.csv"), *options])
        found[convention] = json.loads(said.stdout)["line"]["exponent"]
        assert found[convention] == pytest.approx(frontier(rows[rows["final"]], y="error", resamples=0).line.exponent)
    assert found["paper"] != found["ours"]
    table.drop(columns="N_total").to_csv(tmp_path / "bare.csv")
    refused = CliRunner().invoke(cli, ["fit", str(tmp_path / "bare.csv"), "--convention", "paper"])
    assert "found no N_total" in str(refused.exception)
