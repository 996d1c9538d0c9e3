"""What the paper's figures say of worlds whose answers are known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.comparison import ratio_at_equal_compute
from analysis.conventions import OURS, PAPER, exponents, with_paper_columns
from analysis.errors import Refusal
from analysis.figures.ablation import ablation_numbers, variant_of
from analysis.figures.allocation import allocation_numbers
from analysis.figures.batches import batch_numbers
from analysis.figures.filters import mosaic
from analysis.figures.zhai import zhai_numbers
from analysis.locality import Filters, locality
from analysis.result_tables import efficiency_table, is_ablation, result_table, rounded, symbol
from analysis.specials import epoch_groups, is_scaling
from analysis.text_table import TextTable


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


def test_a_frontier_has_the_exponents_of_its_world_in_both_conventions():
    ours, papers = exponents(with_paper_columns(world()), "error", resamples=0)
    assert (ours.convention, papers.convention) == (OURS, PAPER)
    assert ours.y[0] == pytest.approx(-0.25, abs=0.02)
    assert ours.N[0] == pytest.approx(0.5, abs=0.06)
    assert papers.N[0] == pytest.approx(ours.N[0], abs=0.05)  # N_total is nearly N here


def test_the_zhai_figure_joins_a_model_and_a_data_set_over_its_epochs():
    numbers = zhai_numbers(with_paper_columns(world()), "error", OURS, resamples=0)
    assert len(numbers.series) == 81
    assert all(len(one.C) == 2 and one.C[1] == 2 * one.C[0] for one in numbers.series)
    assert numbers.curve is not None


def test_lengths_that_whole_batches_made_unequal_are_one_length():
    rows = pd.DataFrame({"epochs": [1.2288, 1.2459, 2.4576, 2.5, 19.98, 20.0]})
    assert list(epoch_groups(rows)) == [1.2, 1.2, 2.5, 2.5, 20.0, 20.0]
    assert rounded(799.9) == 800


def test_allocation_at_fixed_epochs_recovers_the_exponents():
    rows = world(alpha=0.6, beta=0.4, epochs=(10.0,))
    N, D = allocation_numbers(rows, "error", OURS, epochs=10.0, resamples=0)
    slope = float(N.curve.text.split("C^{")[1].split("}")[0])
    assert slope == pytest.approx(0.4, abs=0.08)
    assert float(D.curve.text.split("C^{")[1].split("}")[0]) == pytest.approx(1 - slope, abs=0.01)


def test_allocation_draws_no_line_through_one_size():
    rows = world(epochs=(10.0,))
    rows = rows[rows["width"].isin((16, 24, 32))]
    N, _ = allocation_numbers(rows, "error", OURS, epochs=10.0, resamples=0)
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


def test_latex_escapes_what_it_must():
    text = TextTable("t", "50 % of a_b", ("x & y",), (("1 ± 2",),)).latex()
    assert r"50 \% of a\_b" in text
    assert r"x \& y" in text


def test_without_measurements_there_is_no_efficiency_table(tmp_path):
    assert efficiency_table(tmp_path / "efficiency.csv") is None


def test_filters_without_images_are_none(tmp_path):
    from analysis.locality import read_filters

    assert read_filters(tmp_path, "absent") is None
    torch = pytest.importorskip("torch")
    from scaling.train.filters import keep_filters

    (tmp_path / "r").mkdir()
    body = torch.nn.Sequential(torch.nn.Linear(12, 5), torch.nn.Linear(5, 3))
    assert keep_filters(tmp_path / "r", body, (12,))
    assert read_filters(tmp_path, "r") is None
    assert keep_filters(tmp_path / "r", body, (3, 2, 2))
    assert read_filters(tmp_path, "r").weights.shape == (5, 3, 2, 2)
    assert not keep_filters(tmp_path / "r", body, (7,))
