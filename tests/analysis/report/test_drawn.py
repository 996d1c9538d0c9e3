"""Figures as they stand on the page without its script: the data that the script draws, at the same places."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from analysis.report.charts.svg import BOTTOM, LEFT, RIGHT, SMALL, TOP, USUAL, svg_of, ticks

LOSS = {"label": "loss <i>L</i><sub>0</sub> &lt; 3", "log": True, "ends": [0.5, 2.0]}
CHART = {
    "title": "width 8",
    "x": {"label": "compute C", "log": True, "ends": [1e8, 1e10]},
    "y": LOSS,
    "marks": [
        {"k": "line", "x": [1e8, 1e9, None, 1e10], "y": [2.0, 1.0, 0.9, 0.5], "c": "#112233", "w": 1,
         "label": "L = C<sup>−0.2</sup>"},
        {"k": "dots", "x": [1e9, None], "y": [1.0, 1.0], "c": "#445566", "s": 4},
        {"k": "dots", "x": [1e9], "y": [1.0], "c": "#445566", "s": 4, "hollow": 1, "a": 0.5},
        {"k": "dots", "x": [1e9], "y": [1.0], "c": "#445566", "s": 4, "shape": "star"},
        {"k": "bars", "x": [1e9, 1e9], "y": [0.9, 1.1], "c": "#445566", "w": 1},
        {"k": "area", "x": [1e8, 1e9, 1e9], "y": [1.0, 1.0, 0.8], "c": "#778899", "a": 0.3},
        {"k": "rule", "of": "y", "at": 1.0, "c": "#000000", "w": 1, "dash": 1},
        {"k": "span", "of": "x", "ends": [1e8, 1e9], "c": "#eeeeee", "a": 0.5},
    ],
    "key": {"title": "weights N", "entries": [["#112233", "336"], ["#445566", "1.28×10⁶"]]},
}  # fmt: skip


def drawn(charts):
    text = svg_of(charts).decode()
    assert "nan" not in text
    return ElementTree.fromstring(text), text


def test_marks_stand_where_their_values_are():
    _, text = drawn([CHART])
    middle = (LEFT + USUAL.width - RIGHT) / 2, (TOP + USUAL.height - BOTTOM) / 2  # of both log axes
    assert f"M{middle[0]:.1f},{middle[1]:.1f}h0" in text
    assert f"M{LEFT:.1f},{TOP:.1f}L{middle[0]:.1f},{middle[1]:.1f}M" in text  # broken where there is no value
    assert f"M{LEFT},{middle[1]:.1f}H{USUAL.width - RIGHT}" in text
    assert text.count("<path d='' ") == 0


def test_words_say_axes_ticks_lines_and_colours():
    root, _ = drawn([CHART])
    words = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    for said in ("width 8", "compute C", "loss L_0 < 3", "10⁹", "0.5", "L = C−0.2", "weights N:", "336", "1.28×10⁶"):
        assert said in words, said
    raised = next(node for node in root.iter("{http://www.w3.org/2000/svg}tspan") if node.text == "−0.2")
    assert float(raised.attrib["dy"]) < 0


def test_the_legend_shows_marks_as_they_are_drawn():
    star = {"k": "dots", "x": [1e9], "y": [1.0], "c": "#112233", "s": 9, "shape": "star", "label": "minimum"}
    line = {"k": "line", "x": [1e8, 1e9], "y": [1.0, 0.9], "c": "#445566", "w": 1, "dash": 1, "label": "law"}
    _, text = drawn([{**CHART, "marks": [star, line], "key": {"title": "N", "entries": []}}])
    assert text.count("stroke-dasharray") == 2
    assert len(re.findall(r"d='M[^']*Z' fill='#112233'", text)) == 2


def test_hollow_stars_are_hollow():
    star = {"k": "dots", "x": [1e9], "y": [1.0], "c": "#112233", "s": 9, "shape": "star", "hollow": 1}
    assert re.search(r"d='M[^']*Z' fill='none' stroke='#112233'", drawn([{**CHART, "marks": [star]}])[1])


def test_a_key_of_many_colours_has_an_even_choice_of_them():
    entries = [[f"#0000{i:02d}", f"N {i}"] for i in range(50)]
    root, _ = drawn([{**CHART, "key": {"title": "N", "entries": entries}}])
    words = ["".join(node.itertext()) for node in root.iter("{http://www.w3.org/2000/svg}text")]
    shown = [word for word in words if re.fullmatch(r"N \d+", word)]
    assert f"N ({len(shown)} of 50):" in words
    assert shown[0] == "N 0"
    assert shown[-1] == "N 49"
    assert 10 <= len(shown) <= 17


@pytest.mark.parametrize("n", [2, 6])
def test_panels_that_say_the_same_have_one_legend(n):
    _, text = drawn([CHART] * n)
    assert text.count("336") == text.count("weights N:") == 1
    other = {**CHART, "marks": [{**CHART["marks"][0], "label": "L = C<sup>−0.3</sup>"}]}
    _, text = drawn([CHART, other])
    assert text.count("336") == 2


@pytest.mark.parametrize(("n", "size", "columns"), [(1, USUAL, 1), (2, USUAL, 2), (4, USUAL, 2), (10, SMALL, 4)])
def test_panels_stand_in_rows(n, size, columns):
    root, _ = drawn([CHART] * n)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert width == columns * size.width
    assert height > math.ceil(n / columns) * size.height
    places = [re.findall(r"[\d.]+", panel.attrib["transform"]) for panel in root]
    assert len({x for x, _ in places}) == columns
    assert len(places) == n + (n > 1)  # and the legend of all


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize(("low", "high"), [(0.5, 0.9), (-4.0, 3.0), (1e8, 1e10), (3.0, 70.0)])
def test_ticks_are_few_and_inside(low, high, log):
    found = ticks(low, high, log=log and low > 0)
    assert 2 <= len(found) <= 9
    assert all(low <= tick <= high for tick in found)


def test_words_below_an_axis_do_not_touch():
    wide = {"label": "step", "log": True, "ends": [50, 6000]}
    root, _ = drawn([{**CHART, "x": wide, "marks": CHART["marks"][-2:-1]}] * 5)
    words = [node for node in root[0].iter("{http://www.w3.org/2000/svg}text") if node.attrib.get("y") == "173"]
    ends = sorted((float(node.attrib["x"]), len(node.text)) for node in words)
    assert len(ends) > 2
    assert all(b - a >= 3 * (m + n) for (a, m), (b, n) in pairwise(ends))
