"""The report in a browser: its own script is driven as a reader would, and the page without script says the same."""

from __future__ import annotations

import json

import matplotlib as mpl
import matplotlib.image
import numpy as np
import pandas as pd
import pytest

from analysis import numbers
from analysis.table.read import load_table
from tests.analysis import worlds
from tests.analysis.worlds import World, write_results
from tests.page.conftest import LawOptions, write_report

pytestmark = pytest.mark.slow

CHART = "document.querySelector('[data-chart=loss_vs_compute]')"
ROWS = "[...document.querySelectorAll('#runs tbody tr.run')]"


def shown(browser, page, **how):
    """Open a page at its first figure, drawn."""
    browser.open(page.as_uri(), **how)
    browser.run(f"{CHART}.scrollIntoView({{block: 'center'}})")
    browser.frames()
    assert browser.run(f"{CHART}.querySelector('.chart svg') !== null")


def place_of(browser, axis, value):
    """Return where a value of one axis lies in the window, by the tick labels of the drawn figure."""
    script = f"""(() => {{
        const panel = {CHART}.querySelector('svg'), box = panel.getBoundingClientRect();
        const data = DATA.charts.loss_vs_compute[0], height = box.height;
        const [from, to] = {{x: [58, box.width - 10], y: [height - 42, 8]}}['{axis}'];
        const [low, high] = data['{axis}'].ends;
        return box['{axis}'] + from + Math.log({value} / low) / Math.log(high / low) * (to - from);
    }})()"""
    return browser.run(script)


def test_a_run_under_the_mouse_is_named_with_its_numbers(browser, report):
    shown(browser, report)
    browser.run(f"[...{CHART}.querySelectorAll('button')].find(one => one.textContent === 'seeds').click()")
    table = load_table(report.parent).set_index("run_id")
    run = table.sort_values("loss").iloc[0]
    browser.mouse("mouseMoved", place_of(browser, "x", run["C"]), place_of(browser, "y", run["loss"]))
    said = browser.run(f"{CHART}.querySelector('.tip').innerText")
    assert f"run {run.name}" in said
    for words in (f"N {numbers.count(run['N'])}", f"loss {numbers.measured(run['loss'])}", f"seed {run['seed']:.0f}"):
        assert words in said
    assert "rate" in said
    assert "steps" in said


def test_a_click_on_a_mean_leads_to_its_runs(browser, report):
    shown(browser, report)
    table = load_table(report.parent)
    best = table.loc[table["loss"].idxmin()]
    cell = table[(table["N"] == best["N"]) & (table["C"] == best["C"])]
    browser.click(place_of(browser, "x", best["C"]), place_of(browser, "y", cell["loss"].mean()))
    found = browser.run(f"{ROWS}.map(row => row.id.slice(4))")
    assert set(found) == set(cell["run_id"])
    assert browser.run("document.getElementById('runs').closest('details').open")
    assert browser.run(f"{ROWS}.every(row => row.classList.contains('found'))")


def test_a_legend_hides_and_shows_and_an_axis_becomes_linear(browser, report):
    shown(browser, report)
    paths = f"{CHART}.querySelectorAll('svg > g path').length"
    button = f"{CHART}.querySelector('.legend button:last-of-type')"
    before = browser.run(paths)
    browser.run(f"{button}.click()")
    assert browser.run(paths) < before
    browser.run(f"{button}.click()")
    assert browser.run(paths) == before
    ticks = f"[...{CHART}.querySelectorAll('svg text')].map(one => one.textContent).join(' ')"
    logarithmic = browser.run(ticks)
    browser.run(f"{CHART}.querySelector('.tools button').click()")
    assert browser.run(ticks) != logarithmic
    assert browser.run(f"{CHART}.querySelector('.tools button').getAttribute('aria-pressed')") == "false"


def test_dragging_zooms_and_reset_shows_all_again(browser, report):
    shown(browser, report)
    ends = f"[...{CHART}.querySelectorAll('svg text')].map(one => one.textContent)"
    before = browser.run(ends)
    table = load_table(report.parent)
    left, right = (place_of(browser, "x", value) for value in (table["C"].min(), table["C"].median()))
    top, bottom = (place_of(browser, "y", value) for value in (table["loss"].max(), table["loss"].median()))
    for kind, x, y in (("mouseMoved", left, top), ("mousePressed", left, top), ("mouseMoved", right, bottom)):
        browser.mouse(kind, x, y)
    browser.mouse("mouseReleased", right, bottom)
    assert browser.run(ends) != before
    browser.run(f"[...{CHART}.querySelectorAll('button')].find(one => one.textContent === 'reset').click()")
    assert browser.run(ends) == before


def test_runs_are_sorted_and_filtered(browser, report):
    shown(browser, report)
    table = load_table(report.parent)
    browser.run("document.getElementById('runs').closest('details').open = true")
    browser.run("document.querySelector('#runs th[data-column=loss] button').click()")
    assert browser.run(f"{ROWS}[0].id") == f"run-{table.sort_values('loss')['run_id'].iloc[0]}"
    browser.run("document.querySelector('#runs th[data-column=loss] button').click()")
    assert browser.run(f"{ROWS}[0].id") == f"run-{table.sort_values('loss')['run_id'].iloc[-1]}"
    assert browser.run("document.querySelector('#runs th[data-column=loss]').ariaSort") == "descending"
    chosen = table[(table["width"] == 32) & (table["loss"] < table["loss"].median())]
    text = f"width=32 loss<{table['loss'].median()} finished"
    browser.run(
        f"(() => {{ const box = document.getElementById('runs-filter'); box.value = {json.dumps(text)}; "
        "box.dispatchEvent(new Event('input')); })()"
    )
    assert set(browser.run(f"{ROWS}.map(row => row.id.slice(4))")) == set(chosen["run_id"])
    assert browser.run("document.getElementById('runs-shown').textContent") == f"{len(chosen)} of {len(table)} runs"
    assert browser.run(f"getComputedStyle({ROWS}[0].querySelector('td.n')).textAlign") == "right"


def test_a_row_opens_to_its_learning_curve(browser, curves):
    shown(browser, curves)
    browser.run("document.getElementById('runs').closest('details').open = true")
    browser.run(f"{ROWS}[0].querySelector('td').click()")
    browser.frames()
    assert browser.run("document.querySelector('tr.more svg path') !== null")
    assert "validation" in browser.run("document.querySelector('tr.more .legend').innerText")


def test_seeds_are_shown_where_points_are_means(browser, report, tmp_path):
    buttons = f"[...{CHART}.querySelectorAll('.tools button')].map(one => one.textContent)"
    shown(browser, report)
    assert "seeds" in browser.run(buttons)
    single = write_results(worlds.isoflop(World(), seeds=1), tmp_path, "single")
    shown(browser, write_report(single, law_options=LawOptions(resamples=0)).page)
    assert "seeds" not in browser.run(buttons)
    assert "log x" in browser.run(buttons)


def test_panels_with_one_legend_are_switched_together(browser, curves):
    shown(browser, curves)
    figure = "document.querySelector('[data-chart=learning]')"
    browser.run(f"{figure}.scrollIntoView()")
    browser.frames()
    assert browser.run(f"{figure}.querySelectorAll('.legend').length") == 1
    paths = f"[...{figure}.querySelectorAll('.chart svg')].map(one => one.querySelectorAll('g path').length)"
    before = browser.run(paths)
    browser.run(f"{figure}.querySelector('.legend button').click()")
    assert len(before) == 3
    assert all(now < then for now, then in zip(browser.run(paths), before, strict=True))


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_the_page_fits_its_window(browser, report, tmp_path, width, dark):
    shown(browser, report, width=width, dark=dark)
    assert browser.run("document.documentElement.scrollWidth") == width
    beside = "[...document.querySelectorAll('td.verdict .pill')].map(one => one.getBoundingClientRect().right)"
    assert 0 < max(browser.run(beside)) <= width  # a law's verdict is seen with it
    background = browser.run("getComputedStyle(document.body).backgroundColor")
    assert (background == "rgb(255, 255, 255)") != dark
    inked = browser.run(f"getComputedStyle({CHART}.querySelector('svg')).filter")
    assert ("invert" in inked) == dark
    browser.screenshot(tmp_path / "page.png", whole=False)
    assert (tmp_path / "page.png").stat().st_size > 10_000


def test_names_with_signs_are_drawn_as_they_are_written(browser, tmp_path):
    rows = worlds.small().drop(columns="seed")
    name = 'a $x_1$ & <b>"c"</b>'
    both = pd.concat([rows.assign(family=one, run_id=one + rows["run_id"]) for one in ("mlp", name)], ignore_index=True)
    page = write_report(tmp_path / "t.csv", table=both, out=tmp_path, law_options=LawOptions(resamples=40)).page
    browser.open(page.as_uri())
    words = ""
    for figure in ("comparison", "families"):
        chart = f"document.querySelector('[data-chart={figure}]')"
        browser.run(f"{chart}.scrollIntoView({{block: 'center'}})")
        browser.frames()
        words += browser.run(f"{chart}.textContent")
    assert f"compute C of {name} (FLOPs)" in words
    assert words.count("$x_1$") >= 3
    assert "&amp;" not in words
    assert "\\$" not in words


def test_long_words_are_broken(browser, report):
    shown(browser, report, width=390)
    browser.run("for (const one of document.querySelectorAll('p, li, h1, figcaption')) one.append('x'.repeat(300))")
    assert browser.run("document.documentElement.scrollWidth") == 390


def test_no_script_of_the_page_fails(browser, report, curves):
    for page in (report, curves):
        shown(browser, page)
        browser.run("document.querySelectorAll('[data-chart]').forEach(one => one.scrollIntoView())")
        browser.frames()
    assert browser.errors == []


def test_what_is_folded_is_printed_but_the_runs(browser, report):
    shown(browser, report)
    shut = "document.querySelectorAll('details:not(.runs):not([open])').length"
    assert (before := browser.run(shut))
    browser.run("dispatchEvent(new Event('beforeprint'))")
    assert browser.run(shut) == 0
    browser.send("Emulation.setEmulatedMedia", media="print")
    hidden = "[...document.querySelectorAll('#all, details.runs, summary')].every(one => !one.offsetHeight)"
    assert browser.run(hidden)
    svg = f"{CHART}.querySelector('.chart svg')"
    shapes = (f"{svg}.getBoundingClientRect()", f"{svg}.viewBox.baseVal")
    drawn, meant = (browser.run(f"(box => box.width / box.height)({shape})") for shape in shapes)
    assert drawn == pytest.approx(meant, rel=0.01)
    browser.send("Emulation.setEmulatedMedia", media="")
    browser.run("dispatchEvent(new Event('afterprint'))")
    assert browser.run(shut) == before


def test_without_script_all_is_there_to_read(browser, report):
    browser.open(report.as_uri(), script=False)
    tree = browser.send("DOM.getDocument", depth=-1)["root"]
    html = browser.send("DOM.getOuterHTML", nodeId=tree["nodeId"])["outerHTML"]
    assert html.count("<img") >= 5
    assert "best loss falls as" in html
    assert html.count("<tr>") > len(load_table(report.parent))
    assert 'class="chart"' not in html


def test_numbers_are_written_as_in_python(browser, report):
    browser.open(report.as_uri())
    rng = np.random.default_rng(0)
    values = [0.0, 1.0, 336.0, 927.9, 2880.0, 99999.5, 1e6, 2e8, 9.53e10, 1e-3, 2.5e-4, -0.157, 12345.678]
    values += (10 ** rng.uniform(-6, 12, 40)).round(6).tolist()
    for name in ("N", "C", "loss", "lr"):
        said = browser.run(f"{json.dumps(values)}.map(value => entry({json.dumps(name)}, value))")
        assert said == [numbers.entry(name, value) for value in values], name


def test_ten_thousand_runs_open(browser, tmp_path):
    sizes = tuple(int(8 * 1.06**i) for i in range(40))
    table = worlds.isoflop(World(), widths=sizes, budgets=tuple(10 ** (9 + i / 10) for i in range(25)), seeds=10)
    table.to_parquet(tmp_path / "many.parquet")
    report = write_report(tmp_path / "many.parquet", out=tmp_path, law_options=LawOptions(resamples=0))
    assert report.page.stat().st_size < 12e6
    shown(browser, report.page)
    assert browser.run("DATA.runs.ids.length") == table["run_id"].nunique()
    assert browser.run(f"{ROWS}.length") == 100


def test_every_colour_of_a_key_is_seen_on_dark_paper(browser, report, tmp_path):
    """At a contrast of 3 to 1, which WCAG 2 asks of figures."""
    shown(browser, report, dark=True)
    swatches = "[...document.querySelectorAll('[data-chart=loss_vs_compute] .legend button')].slice(-6)"
    places = browser.run(
        f"{swatches}.map(one => one.querySelector('svg').getBoundingClientRect()).map(box => [box.x + 11, box.y + 7])"
    )
    browser.screenshot(tmp_path / "dark.png", whole=False)
    pixels = mpl.image.imread(tmp_path / "dark.png")[..., :3]
    lightness = [luminance(pixels[round(y), round(x)]) for x, y in places]
    paper = luminance(pixels[2, 2])
    assert paper < 0.02
    assert min(lightness) + 0.05 > 3 * (paper + 0.05)
    assert len({round(one, 2) for one in lightness}) == len(lightness)


def luminance(colour):
    linear = np.where(colour <= 0.03928, colour / 12.92, ((colour + 0.055) / 1.055) ** 2.4)
    return float(linear @ np.array([0.2126, 0.7152, 0.0722]))
