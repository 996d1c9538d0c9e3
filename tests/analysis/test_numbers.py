"""How numbers are written: what is written reads back within its digits, and one kind has one notation everywhere."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest

from analysis import fit, load_table
from analysis.__main__ import main
from analysis.estimates.isoflop import isoflop
from analysis.figures.equation import as_html, curve_of_line, mathtext
from analysis.numbers import (
    LOWERED,
    count,
    duration,
    entry,
    estimated_times,
    exponent,
    flops,
    interval,
    kind_of,
    measured,
    number,
    p_value,
    percent,
    power_of_ten,
    shift,
    short,
    times,
)
from analysis.table.select import select_rows

VALUES = np.concatenate([sign * np.geomspace(3e-12, 7e19, 400) for sign in (1, -1)]).tolist()
EDGES = [9.9996e9, 99_999.6, 999_999.4, 999_999.6, 9.9996e-4, 1e-3, 1e6, 0.0, 0.99996, 999.6, 99_950.0, 9.9995]


def read(text: str) -> float:
    """Read a number as it is written."""
    text = re.sub(r"10([⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+)", lambda match: f"1e{match[1].translate(LOWERED)}", text.replace("−", "-"))
    scale = {"k": 1e3, "M": 1e6, "G": 1e9}.get(text[-1], 1.0)
    return math.prod(float(part.replace(",", "")) for part in text.rstrip("kMG").split("×")) * scale


@pytest.mark.parametrize(
    ("write", "digits"),
    [(number, 4), (power_of_ten, 3), (flops, 3), (measured, 4), (short, 2), (lambda v: number(v, 3), 3)],
)
def test_what_is_written_reads_back_within_its_digits(write, digits):
    for value in VALUES + [edge for edge in EDGES if edge or write is not power_of_ten]:
        assert read(write(value)) == pytest.approx(value, rel=0.5001 * 10 ** (1 - digits)), value


def test_counts_are_whole_and_read_back():
    for value in VALUES[:400]:
        assert read(count(value)) == pytest.approx(value, rel=5.1e-3, abs=0.5)
        assert "." not in count(value) or value > 999_000
    assert [count(v) for v in (927.9, 2880.0, 41856, 130_321.4, 1.279e6, None)] == [
        *("928", "2,880", "41,856", "130,300", "1.28×10⁶", ""),
    ]


def test_no_mantissa_is_ten_and_no_digit_is_lost_to_a_letter():
    every = [write(value) for value in VALUES + EDGES for write in (number, count, flops, measured, short)]
    assert not any(re.search(r"\b10(\.0*)?×", text) or "e" in text for text in every)


def test_whole_numbers_keep_all_their_digits():
    assert all(read(number(n)) == n == read(count(n)) for n in (0, 7, 1234, 41856, 999_999))
    assert [number(v) for v in (3, 0.12345, 2e8, 7575.4, None, float("nan"), -0.5, 2.5e-4)] == [
        *("3", "0.1235", "2×10⁸", "7,575", "", "", "−0.5", "2.5×10⁻⁴"),
    ]


def test_means_have_the_digits_that_their_deviation_leaves():
    assert measured(82.913, 0.31, decimals=1) == "82.9 ± 0.3"
    assert measured(0.68417, 0.0123) == "0.684 ± 0.012"
    assert measured(0.68417) == "0.6842"
    assert measured(1.35) == "1.350"
    assert measured(3.17684e-10, 1.2e-11) == "(3.18 ± 0.12)×10⁻¹⁰"
    assert measured(3.17684e-10) == "3.177×10⁻¹⁰"
    assert measured(2.5e7, 1e6) == "(2.50 ± 0.10)×10⁷"
    assert measured(1.5, 0.0) == "1.500 ± 0.000"
    assert measured(-0.25) == "−0.2500"
    assert measured(float("nan")) == ""


def test_exponents_intervals_shares_factors_p_values_and_shifts():
    assert [exponent(v) for v in (-0.1572, 0.5, -0.0001, None)] == ["−0.157", "0.500", "0.000", ""]
    assert interval((0.17702, 0.29354)) == "[0.177, 0.294]"
    assert interval((-0.17, -0.1444), exponent) == "[−0.170, −0.144]"
    assert interval((1312.3, 1599.2), count) == "[1,312, 1,599]"
    assert interval((0.0, 0.539)) == "[0, 0.539]"
    assert interval(None) == ""
    assert [percent(v) for v in (0.95, 1 - 0.95, 0.999, 0.0633, 1.0)] == ["95 %", "5 %", "99.9 %", "6.33 %", "100 %"]
    assert [percent(v) for v in (0.9999, 0.99996, 0.999999)] == ["99.99 %", "99.996 %", "99.9999 %"]
    assert [times(v) for v in (1.6612, 100.0, None)] == ["1.66×", "100×", ""]
    assert [estimated_times(v) for v in (1.2904, 1.2996, 9.5, 0.0082)] == ["1.29×", "1.30×", "9.50×", "0.00820×"]
    assert [p_value(v) for v in (0.0034, 1e-12, 0.0)] == ["p 0.003", "p 10⁻¹²", "p < 10⁻³⁰⁰"]
    assert [shift(v) for v in (0.0123, -0.0044, -0.0004)] == ["+0.012", "−0.004", "less than 0.001"]


def test_times_are_written_as_the_trainer_writes_them():
    seconds = (0.84, 4.2, 44, 200, 3 * 3600 - 60, 5 * 3600 + 12 * 60, 51 * 3600)
    assert [duration(s) for s in seconds] == [
        *("0.8 s", "4.2 s", "44 s", "3 min 20 s", "2 h 59 min", "5 h 12 min", "2 d 3 h"),
    ]


def test_ticks_are_short():
    assert [short(v) for v in (0.5, 950, 1234, 41856, 3.4e7, 1e9, 1.99e8, 2.5e18)] == [
        *("0.5", "950", "1.2k", "42k", "34M", "1G", "199M", "2.5×10¹⁸"),
    ]
    assert [power_of_ten(v) for v in (1e8, 2e8, 1.5e-3)] == ["10⁸", "2×10⁸", "1.5×10⁻³"]


def test_a_column_says_what_kind_its_numbers_are():
    assert [kind_of(name) for name in ("N", "N_total", "D_unique", "run_D")] == [count] * 4
    assert [kind_of(name) for name in ("C", "C_counted", "run_C", "budget")] == [flops] * 4
    assert [kind_of(name) for name in ("loss", "val_error")] == [measured] * 2
    assert [kind_of(name) for name in ("lr", "epochs", "Dropout")] == [number] * 3
    assert [entry("C", 2e8), entry("status", "ok"), entry("loss", None), entry("final", True)] == [
        *("2×10⁸", "ok", "", "True"),
    ]


def test_mathtext_and_html_say_what_the_text_says():
    texts = ["2.38×10⁻³", "−1.2×10⁶", "12,300", "0.157"]
    assert [mathtext(text) for text in texts] == [r"2.38\times10^{-3}", r"-1.2\times10^{6}", "12{,}300", "0.157"]
    html = ["2.38×10<sup>−3</sup>", "−1.2×10<sup>6</sup>", "12,300", "0.157"]
    assert [as_html(f"${mathtext(text)}$") for text in texts] == html


@pytest.mark.slow
def test_terminal_figure_and_page_write_the_same_numbers_alike(capsys, written):
    folder, report = written
    page = report.page.read_text()
    assert main(["isoflop", str(folder), "--resamples", "60"]) == 0
    terminal = capsys.readouterr().out
    found = isoflop(select_rows(load_table(folder), y="loss")[0], resamples=60)
    valley = found.minima[1]
    for text in (
        flops(valley.budget),
        count(valley.N),
        count(valley.D),
        measured(valley.y),
        interval(valley.N_interval, count),
    ):
        assert text in terminal
        assert f">{text}</td>" in page
    slope = exponent(found.N_law.exponent)
    assert slope in terminal
    assert f"C<sup>{slope}</sup>" in page
    assert mathtext(slope) in curve_of_line(found.N_law, "N^*", "C", 1e8, 1e10).text
    law = fit(load_table(folder), resamples=60)
    assert main(["fit", str(folder), "--resamples", "60"]) == 0
    terminal = capsys.readouterr().out
    for name, value in law.params.items():
        write = exponent if name in ("alpha", "beta") else number
        assert write(value) in terminal, name
        assert f"{name} {write(value)} " in page
        assert interval(law.intervals[name], exponent if write is exponent else None) in terminal
    assert not re.search(
        r"\de[+-]\d", terminal + re.sub(r"<(pre|script).*?</\1>|base64,[^\"]*", "", page, flags=re.DOTALL)
    )
    assert json.loads((folder / "fit.json").read_text())["level"] == 0.95
