"""A page used without a mouse: by keys, by touch, on paper; and what a legend shows."""

from __future__ import annotations

import pytest

from analysis.table.read import load_table
from tests.page.test_page import CHART, ROWS, place_of, shown

pytestmark = pytest.mark.slow

HELD = "document.activeElement"


def press(browser, key, code):
    for kind in ("rawKeyDown", "char", "keyUp"):
        typed = {"text": "\r"} if kind == "char" else {}
        browser.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **typed)


def tap(browser, x, y):
    browser.send("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
    browser.send("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])
    browser.frames()


def best_place(browser, report):
    best = load_table(report.parent).sort_values("loss").iloc[0]
    return place_of(browser, "x", best["C"]), place_of(browser, "y", best["loss"])


def test_a_key_changes_a_figure_and_may_go_on(browser, report):
    shown(browser, report)
    browser.run(f"{CHART}.querySelector('.tools button').focus()")
    press(browser, "Enter", 13)
    assert browser.run(f"[{HELD}.textContent, {HELD}.getAttribute('aria-pressed')]") == ["log x", "false"]
    press(browser, "Enter", 13)
    assert browser.run(f"[{HELD}.textContent, {HELD}.getAttribute('aria-pressed')]") == ["log x", "true"]


def test_a_key_opens_a_row_and_closes_it(browser, report):
    shown(browser, report)
    browser.run("document.getElementById('runs').closest('details').open = true")
    browser.run(f"{ROWS}[2].querySelector('button').focus()")
    press(browser, "Enter", 13)
    assert browser.run("document.querySelectorAll('tr.more').length") == 1
    assert browser.run(f"{HELD}.closest('tr').id === {ROWS}[2].id && {HELD}.ariaExpanded") == "true"
    press(browser, "Enter", 13)
    assert browser.run("document.querySelectorAll('tr.more').length") == 0


def test_a_first_tap_tells_of_a_point_and_a_second_leads_to_its_runs(browser, report):
    shown(browser, report, width=390)
    browser.send("Emulation.setTouchEmulationEnabled", enabled=True)
    try:
        place = best_place(browser, report)
        tap(browser, *place)
        assert browser.run(f"{CHART}.querySelector('.tip').hidden") is False
        assert not browser.run("document.querySelector('tr.found')")
        tap(browser, *place)
        assert browser.run("document.querySelector('tr.found') !== null")
    finally:
        browser.send("Emulation.setTouchEmulationEnabled", enabled=False)


def test_dragging_along_one_axis_zooms_that_axis_alone(browser, report):
    shown(browser, report)
    ends = f"[...{CHART}.querySelectorAll('svg text')].map(one => one.textContent)"
    of_y = f"[...{CHART}.querySelectorAll('svg text[text-anchor=end]')].map(one => one.textContent)"
    before, before_y = browser.run(ends), browser.run(of_y)
    table = load_table(report.parent)
    x, y = best_place(browser, report)
    left = place_of(browser, "x", table["C"].median())
    for kind, at in (("mouseMoved", left), ("mousePressed", left), ("mouseMoved", x), ("mouseReleased", x)):
        browser.mouse(kind, at, y)
    assert browser.run(of_y) == before_y
    assert browser.run(ends) != before
    assert not browser.run("document.querySelector('tr.found')")


def test_a_legend_shows_marks_as_the_figure_has_them(browser, report):
    shown(browser, report)
    entry = f"[...{CHART}.querySelectorAll('.legend button')].find(one => one.textContent.startsWith('frontier'))"
    assert browser.run(f"{entry}.querySelector('.glyph path').getAttribute('fill')") == "none"
    assert "a" in browser.run(f"{entry}.querySelector('.glyph path').getAttribute('d')")


def test_figures_on_paper_are_dark_on_white_whatever_the_screen(browser, report):
    shown(browser, report, dark=True)
    dark = {"name": "prefers-color-scheme", "value": "dark"}
    browser.send("Emulation.setEmulatedMedia", media="print", features=[dark])
    try:
        assert browser.run(f"getComputedStyle({CHART}.querySelector('svg.tint')).filter") == "none"
        assert browser.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    finally:
        browser.send("Emulation.setEmulatedMedia", media="", features=[])


def test_a_filter_knows_columns_by_their_own_names_alone(browser, report):
    shown(browser, report)
    found = browser.run("(runs.wanted = 'constructor=1 toString<2', sorted().length)")
    assert found == 0
