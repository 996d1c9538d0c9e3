from __future__ import annotations

import itertools
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.estimates.frontier import frontier
from analysis.estimates.isoflop import isoflop
from analysis.figures.compute import compute_numbers, draw_compute
from analysis.figures.cost import cost_numbers, draw_cost
from analysis.figures.equation import as_html, curve_of_fit, curve_of_line, equation
from analysis.figures.optimum import draw_optimum, optimum_numbers
from analysis.figures.residuals import draw_residuals, residual_numbers
from analysis.figures.seed_range import SeedRange, seed_range
from analysis.figures.slices import draw_slices, slice_numbers
from analysis.figures.style import (
    colours,
    figure_style,
    label,
    log_axes,
    log_ticks,
    margins,
    panels,
    save,
    without_touching,
)
from analysis.figures.valleys import draw_valleys, valley_numbers
from analysis.table.slices import find_slices
from tests.analysis import worlds
from tests.analysis.worlds import OFF_CENTRE, World


@pytest.fixture(scope="module")
def table():
    return worlds.isoflop(World())


@pytest.fixture(scope="module")
def edges():
    return worlds.isoflop(OFF_CENTRE)


def drawn(draw, numbers, *, n=1):
    """Draw and lay out a figure; return its axes."""
    with figure_style():
        figure, axes = panels(n, bar=True)
        for ax in axes:
            draw(ax, numbers)
        figure.draw_without_rendering()
    return axes


def test_every_axis_names_its_unit(table):
    numbers = compute_numbers(table, y="loss", frontier=frontier(table, resamples=0))
    (ax,) = drawn(draw_compute, numbers)
    assert ax.get_xlabel() == "training compute C (FLOPs)"
    assert ax.get_ylabel() == "test cross-entropy (nats)"
    assert label("loss", table.assign(metric="squared_error")) == "test squared error (units of Var y)"
    assert label("error") == "test error (1 − top-1 accuracy)"


def test_long_names_are_shortened_in_a_label():
    name = f"optimizer={'adamw,' * 30}seed=1"
    assert len(label(name)) == 48
    assert label(name).startswith("optimizer=")
    assert label(name).endswith("seed=1")


def test_compute_figure_draws_every_size_and_the_frontier(table):
    front = frontier(table, resamples=0)
    numbers = compute_numbers(table, y="loss", frontier=front)
    assert [path.N for path in numbers.paths] == sorted(table["N"].unique())
    (ax,) = drawn(draw_compute, numbers)
    circles = next(line for line in ax.lines if line.get_label().startswith("frontier"))
    np.testing.assert_allclose(circles.get_ydata(), [point.y for point in front.points])


def test_milestones_are_joined_run_by_run():
    table = worlds.curves(World(), milestones=5, seeds=2)
    final = table[table["final"]]
    numbers = compute_numbers(final, y="loss", milestones=table)
    assert all(path.joined and len(path.C) == 5 for path in numbers.paths)


def test_unusable_minima_are_hollow(edges):
    found = isoflop(edges, resamples=200)
    (ax,) = drawn(draw_valleys, valley_numbers(found, edges))
    stars = [line for line in ax.lines if line.get_marker() == "*" and len(line.get_xdata()) == 1]
    hollow = [star for star in stars if mpl.colors.to_hex(star.get_markerfacecolor()) == "#ffffff"]
    assert len(stars) == len(found.minima)
    assert len(hollow) == len(found.minima) - len(found.usable) > 0
    assert any("edge" in text.get_text() for text in ax.get_legend().get_texts())


def test_optimum_shows_the_law_only_where_there_is_one(table, edges):
    found = isoflop(table, resamples=40)
    for of in ("N", "D"):
        numbers = optimum_numbers(found, table, of=of)
        assert numbers.curve.text.startswith(f"${of}^*")
        assert not numbers.curve.weak
        doubted = optimum_numbers(replace(found, reasons=("too few",)), table, of=of)
        assert doubted.curve.text.endswith("(weak)")
        assert (numbers.ends[:, 0] < numbers.value).all()
        assert (numbers.value < numbers.ends[:, 1]).all()
        drawn(draw_optimum, numbers)
    refused = isoflop(edges, resamples=40)
    numbers = optimum_numbers(refused, edges, of="N")
    assert numbers.curve is None
    assert len(numbers.unusable) == len(refused.minima) - len(refused.usable)
    (ax,) = drawn(draw_optimum, numbers)
    lost = " or ".join(sorted({minimum.status for minimum in refused.minima} - {"ok"}))
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [f"left out: {lost}"]


@pytest.mark.slow
def test_single_variable_sweeps_are_found_and_drawn():
    table = worlds.grid(World(), (8, 16, 32, 64), (1024, 2048, 4096, 8192), seeds=2)
    for x, held in (("D", "N"), ("N", "D")):
        sweeps = find_slices(table, x)
        assert [sweep.value for sweep in sweeps] == sorted(table[held].unique())
        curves = [curve_of_fit(fit(s.rows, "power", x=x, resamples=0), x, 1e3, 1e4) for s in sweeps[:-1]]
        numbers = slice_numbers(sweeps, "loss", [*curves, None], table)
        assert all((line.low <= line.mean).all() and (line.mean <= line.high).all() for line in numbers.lines)
        drawn(draw_slices, numbers)


def test_sweeps_of_different_recipes_and_epochs_stay_apart():
    table = worlds.grid(World(), (8, 16), (1024, 2048, 4096, 8192), seeds=1)
    repeated = table.assign(D_unique=table["D"] / 2, run_id=table["run_id"] + "r")
    mixed = find_slices(worlds.pd.concat([table, repeated]), "D")
    assert all((sweep.rows["D"].value_counts() == 1).all() for sweep in mixed) or not mixed
    other = table.assign(schedule="constant", run_id=table["run_id"] + "x")
    assert len(find_slices(worlds.pd.concat([table, other]), "D")) == 4


@pytest.mark.parametrize("loss", [0.1, 4.65, 2.703])
def test_the_mean_of_equal_seeds_lies_in_their_range(loss):
    found = SeedRange(**seed_range(pd.DataFrame({"x": 1.0, "loss": [loss] * 3}), "x", "loss"))
    assert found.low == found.mean == found.high


def test_residuals_of_the_true_law_are_the_noise(table):
    numbers = residual_numbers(fit(table, "chinchilla", resamples=0))
    assert numbers.spread == pytest.approx(0.4, rel=0.25)
    np.testing.assert_allclose(sorted(numbers.x), sorted(table["C"]), rtol=1e-6)
    drawn(draw_residuals, numbers)


def test_cost_needs_forecasts(table):
    assert cost_numbers(table) is None
    numbers = cost_numbers(table.assign(forecast_seconds=table["seconds"] / 2))
    assert numbers.ratio == pytest.approx(2)
    drawn(draw_cost, numbers)


def test_cost_is_that_of_finished_runs(table):
    early = table.assign(forecast_seconds=table["seconds"] / 2, status="finished")
    early.loc[:10, ["status", "seconds"]] = "diverged", 1e-3
    numbers = cost_numbers(early)
    assert len(numbers.actual) == len(table) - 11
    assert numbers.ratio == pytest.approx(2)


def test_equations_carry_numbers_and_intervals(table):
    front = frontier(table, resamples=0).table()
    power = fit(front, "power", x="C", resamples=100)
    assert equation(power, "C").startswith(f"$L = {power.params['a']:.3g}")
    assert equation(power, "C").endswith(f"C^{{-{power.params['alpha']:.3f}}}$")
    curve = curve_of_fit(power, "C", 1e8, 1e10)
    low, high = power.intervals["alpha"]
    assert curve.interval == f"[−{high:.3f}, −{low:.3f}]"
    assert curve.text == f"{equation(power, 'C')}  {curve.interval}"
    assert "<sup>−" in as_html(equation(power, "C"))
    joint = fit(table, "chinchilla", resamples=0)
    assert "N^{-" in equation(joint, "C")
    assert "D^{-" in equation(joint, "C")


def test_curves_stay_inside_their_band(table):
    found = isoflop(table, resamples=300)
    curve = curve_of_line(found.N_law, "N^*", "C", 1e8, 1e12)
    assert (curve.band[0] <= curve.y).all()
    assert (curve.y <= curve.band[1]).all()


@pytest.mark.parametrize(
    ("low", "high"), [(0.9, 1.3), (0.5, 5), (1, 80), (1e3, 1e5), (1e-4, 1e9), (2e8, 1e10), (0.2, 0.21), (1e17, 1e25)]
)
def test_log_axes_have_a_few_ticks(low, high):
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 9
    assert all(low <= tick <= high for tick in ticks)


def test_colours_follow_rank_and_differ():
    shades = list(colours([3, 1, 2, 1]).values())
    light = [0.2126 * r + 0.7152 * g + 0.0722 * b for r, g, b, _ in shades]
    assert light == sorted(light)
    assert len(set(shades)) == 3
    assert all(a != b for a, b in itertools.pairwise(shades))


@pytest.mark.slow
def test_saved_as_png_pdf_and_svg(tmp_path, table):
    with figure_style():
        figure, (ax,) = panels(bar=True)
        draw_valleys(ax, valley_numbers(isoflop(table, resamples=0), table))
    png, pdf, svg = save(figure, tmp_path, "valleys")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert pdf.read_bytes().startswith(b"%PDF")
    assert b"<svg" in svg.read_bytes()


def test_drawing_leaves_the_readers_style_alone(table):
    before = dict(mpl.rcParams)
    drawn(draw_valleys, valley_numbers(isoflop(table, resamples=0), table))
    assert dict(mpl.rcParams) == before


def test_bands_and_bars_are_inside_the_axes(table):
    low, high = float(table["C"].min()), 10 * float(table["C"].max())
    front = frontier(table, resamples=0)
    curve = curve_of_fit(fit(front.table(), "power", x="C", resamples=100), "C", low, high)
    (ax,) = drawn(draw_compute, compute_numbers(table, y="loss", frontier=front, curve=curve))
    assert ax.get_ylim()[0] <= curve.band[0].min()
    numbers = optimum_numbers(isoflop(table, resamples=100), table, of="N")
    (ax,) = drawn(draw_optimum, numbers)
    for values in (*numbers.curve.band, numbers.ends):
        assert ax.get_ylim()[0] <= values.min()
        assert values.max() <= ax.get_ylim()[1]
    wide = replace(numbers.curve, band=(numbers.curve.y / 1e6, numbers.curve.y * 1e6))
    assert wide.reach.max() / wide.reach.min() < 10 * wide.y.max() / wide.y.min()


def test_labels_below_an_axis_do_not_touch():
    assert without_touching(["1,600", "1,800", "2,000"], [0, 30, 60], 7) == ["1,600", "", "2,000"]
    with figure_style():
        _, (ax,) = panels(size=(2.6, 2.2))
        margins(ax, np.array([500, 2000]), np.array([1, 2]), room=0)
        log_axes(ax)
    said = [text.get_text() for text in ax.get_xticklabels()]
    assert said[0] == "500"
    assert "" in said
