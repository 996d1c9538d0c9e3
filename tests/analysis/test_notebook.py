"""A fit in a notebook, and docs/notebook.md line by line."""

from __future__ import annotations

import ast
import json
import os
import pickle
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from analysis import verbs
from analysis.__main__ import main
from analysis.commands.notebook import SHOWN
from analysis.commands.one_line import LINES
from analysis.errors import UserError
from analysis.estimates.forecast import forecasts_of
from analysis.figures.equation import as_html
from analysis.terminal import show_forecasts
from scaling.analysis import allocate, backtest, columns, fit, forecast, frontier, isoflop, plot
from tests.analysis import worlds
from tests.analysis.worlds import World, write_results

PAGE = Path(__file__).parents[2] / "docs" / "notebook.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)


@pytest.fixture(autouse=True)
def drawn_in_memory():
    with mpl.rc_context({"backend": "Agg"}):
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def law():
    return fit(worlds.small(), resamples=100, fix={"E": 0.35})


@pytest.mark.slow
def test_the_page_works_line_by_line(tmp_path, monkeypatch):
    write_results(worlds.small(), tmp_path, "quickstart")
    world, rng = World(), np.random.default_rng(0)
    N, D = np.exp(rng.uniform(13, 20, 60)), np.exp(rng.uniform(18, 25, 60))
    loss = world.loss(N, D) * np.exp(0.002 * rng.standard_normal(60))
    theirs = pd.DataFrame({"Model Size": N, "Training FLOP": 6 * N * D, "loss": loss})
    theirs.to_csv(tmp_path / "theirs.csv", index=False)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in BLOCKS:
        for statement in ast.parse(block).body:
            exec(compile(ast.Module([statement], []), str(PAGE), "exec"), names)  # a reader types it so
    assert names["law"].certificate.status == "ok"
    assert names["valleys"].N_law.exponent == pytest.approx(World().exponent, abs=0.05)


@pytest.mark.slow
def test_the_documented_import_loads_no_trainer():
    code = (
        "import sys; import scaling.analysis; print({'numpy', 'pandas'} & set(sys.modules))\n"
        "from scaling.analysis import fit, report; print({'torch', 'hydra', 'omegaconf'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["set()", "set()"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "script", "said"),
    [
        ("analysis.py", "from scaling.analysis import own_law; print(own_law.__name__)", "own_law"),
        ("mine.py", "from scaling.analysis import fit; from analysis.plots import P; print(P, fit.__name__)", "2 fit"),
        ("mine.py", "from analysis import A; from scaling.analysis import fit; print(A, fit.__name__)", "1 fit"),
        ("mine.py", "import analysis.table; from scaling.analysis import fit", "analysis.table; wanted one of them"),
    ],
)
def test_a_script_or_a_folder_called_analysis_does_not_hide_ours(tmp_path, name, script, said):
    (tmp_path / name).write_text(script)
    if name != "analysis.py":
        (tmp_path / "analysis").mkdir()
        (tmp_path / "analysis" / "__init__.py").write_text("A = 1")
        (tmp_path / "analysis" / "plots.py").write_text("P = 2")
    if "table" in script:
        (tmp_path / "analysis" / "table.py").touch()
    path = {**os.environ, "PYTHONPATH": str(PAGE.parents[1])}
    done = subprocess.run([sys.executable, name], capture_output=True, text=True, cwd=tmp_path, env=path, check=False)
    assert said in (done.stdout or done.stderr)


def test_a_fit_shows_itself_briefly_and_in_full(law):
    assert repr(law).count("\n") == 0
    assert repr(law).startswith("<Fit chinchilla of loss: E = 0.35, A = ")
    said = repr(law.summary())
    for words in (
        "N^-alpha",
        "0.35",
        "fixed",
        "95 % interval",
        "status",
        "points of 48 runs",
        "AIC",
        "BIC",
        "backtest",
    ):
        assert words in said
    page = law._repr_html_()
    assert page.startswith("<div>")
    assert '<td style="text-align:left">alpha</td>' in page
    assert page.count("<tr>") == len(law.params) + 3


def test_a_weak_fit_gives_its_reasons(law):
    few = fit(worlds.small().head(9), "power", x="N", resamples=20)
    assert few.certificate.status == "weak"
    for text in (few.summary(), unescape(few._repr_html_())):
        assert all(reason[:20] in text for reason in few.certificate.reasons)


def test_a_fit_gives_its_numbers_as_tables(law):
    table = law.to_dataframe()
    assert list(table.index) == list(law.params)
    assert table.loc["alpha", "low"] < table.loc["alpha", "value"] < table.loc["alpha", "high"]
    assert table.loc["E", "bound"] == "fixed"
    spread = law.covariance()
    assert list(spread.columns) == ["A", "B", "alpha", "beta"]
    assert (np.linalg.eigvalsh(spread) > 0).all()
    half = (law.intervals["alpha"][1] - law.intervals["alpha"][0]) / 2 / 1.96
    assert np.sqrt(spread.loc["alpha", "alpha"]) == pytest.approx(half, rel=0.5)
    text = law.to_latex()
    assert text.count(r"\\") == len(law.params) + 3
    assert r"$\alpha$ & $" in text
    assert not re.search("[−×⁰-⁹]", text)


def test_every_result_shows_itself_as_on_the_terminal(law, capsys):
    shown = [getattr(verbs, name) for name in verbs.__all__ if isinstance(getattr(verbs, name), type)]
    assert {kind.__name__ for kind in shown} == {*SHOWN, "Fit"} - {"Certificate", "Report"}
    assert set(SHOWN) == set(LINES)
    assert all(hasattr(kind, "_repr_html_") for kind in shown)
    page = law.certificate._repr_html_()
    assert page.startswith("<pre")
    assert law.certificate.backtest in page
    ahead = forecasts_of(law, [{"C": 1e11}])[0]
    capsys.readouterr()
    show_forecasts([ahead])
    printed = capsys.readouterr().out
    shown = unescape(re.sub("<[^>]*>", "", ahead._repr_html_()))
    assert [line.rstrip() for line in shown.splitlines()] == [line.rstrip() for line in printed.splitlines()]
    assert "of a new run" in shown


@pytest.mark.slow
def test_residuals_are_of_the_response_as_it_was_fitted():
    rows = worlds.small()
    for space, response in (("log", np.log), ("raw", np.asarray)):
        found = fit(rows, resamples=0, space=space)
        wanted = response(rows["loss"].to_numpy()) - response(found.predict(rows))
        np.testing.assert_allclose(found.residuals, wanted, atol=1e-9)
    np.testing.assert_allclose(fit(rows, resamples=0).covariance().shape, (5, 5))


@pytest.mark.slow
def test_results_pickle_and_are_drawn(law):
    rows = worlds.small()
    found = [
        law,
        fit(rows, "saturating", x="C", resamples=20),
        frontier(rows, resamples=20),
        isoflop(rows, resamples=20, shape="chinchilla"),
    ]
    for one in found:
        again = pickle.loads(pickle.dumps(one))
        assert again.to_dict() == one.to_dict()
        assert json.loads(again.to_json())["y"] == "loss"
        assert len(repr(again)) < 200
        axes = plot(again)
        assert axes.get_xlabel()
        assert axes.get_ylabel()
    mine = plt.figure().subplots()
    assert law.plot(mine) is mine
    assert law.plot_residuals().get_ylabel().startswith("measured over fitted")
    for one in (
        allocate(rows, at=1e12, resamples=10),
        forecast(rows, at={"C": 1e11}, resamples=10),
        backtest(rows, ["kaplan"], resamples=0),
    ):
        assert pickle.loads(pickle.dumps(one)).to_dict() == one.to_dict()
        assert "</pre>" in one._repr_html_()
        assert json.loads(one.to_json())["y"] if "y" in one.to_dict() else json.loads(one.to_json())["by"]
        assert len(repr(one)) < 300
        assert re.fullmatch(rf"<{type(one).__name__} (of loss|by C).*\d.*>", repr(one))
        with pytest.raises(UserError, match="wanted a Fit, Frontier, IsoFlop"):
            plot(one)


@pytest.mark.parametrize("name", ["gpu_hours", "cost ($)", "a^b", "50%", "#3", "x{y", "a\\b", "_size", "a--b + -c x y"])
def test_columns_of_any_name_are_drawn_as_they_are_written(name):
    rows = worlds.small().rename(columns={"C": name, "loss": f"loss {name}"})
    found = fit(rows, "power", x=name, y=f"loss {name}", resamples=0)
    axes = found.plot()
    axes.figure.draw_without_rendering()
    written = as_html(axes.get_legend().get_texts()[0].get_text())
    assert written.startswith(f"loss {name} = ")
    assert f" {name}<sup>" in written
    assert axes.get_xlabel().replace(r"\$", "$").strip("\u200b") == name
    plt.close(axes.figure)


@pytest.mark.parametrize("verb", [frontier, isoflop, allocate, backtest, fit])
@pytest.mark.parametrize("bad", [{"seed": -1}, {"resamples": -1}, {"resamples": "10"}, {"level": 95}])
def test_resampling_that_cannot_be_is_said_by_every_verb(verb, bad):
    with pytest.raises(UserError, match=f"found .*{next(iter(bad))}.*; wanted"):
        verb(worlds.small(), **bad)


SMALL = worlds.small()
POOL = pd.DataFrame({"N": [5e4], "D": [1.5e6], "cost": [1.0]})


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: forecast(SMALL, at=1e12, resamples=0), 'found a float as at; wanted .*{"C": 1e20}'),
        (lambda: forecast(SMALL, at={"C": [1e12]}, resamples=0), "found at={'C': .*wanted the numbers of one setting"),
        (lambda: allocate(SMALL, at="much", resamples=0), "at='much'; wanted one or several computes"),
        (lambda: fit(SMALL, law="power", x=["C"], resamples=0), "found x=.'C'.; wanted the name of a column"),
        (lambda: fit(SMALL, y=["loss"], resamples=0), "found y=.'loss'.; wanted the name of a column"),
        (lambda: fit(SMALL, where=SMALL["loss"] < 1, resamples=0), "where of type Series; wanted a condition in words"),
        (lambda: verbs.fit_frontier(SMALL, "power"), r"a DataFrame; wanted what frontier\(table\) returns"),
        (lambda: verbs.suggest(SMALL, pool=[5e4], target=POOL, limit=1.0), "found a list as pool"),
        (lambda: verbs.suggest(SMALL, pool=POOL, target=POOL, limit="1"), "limit='1'; wanted a positive number"),
        (lambda: verbs.report(SMALL), "a table in memory and no out"),
        (lambda: fit(SMALL, delta=True, resamples=0), "found delta True; wanted a positive number"),
        (lambda: verbs.compare(SMALL, by="width", values=None), "found 8, 16, .* as the values of width to compare"),
    ],
)
def test_arguments_of_another_kind_get_a_sentence(call, said):
    with pytest.raises(UserError, match=said):
        call()


@pytest.mark.parametrize(
    ("verb", "options"),
    [
        (fit, ["objective", "space", "weights", "resample", "interval", "rows", "task", "run_column"]),
        (frontier, ["y", "x", "rule", "task"]),
        (isoflop, ["y", "shape"]),
        (allocate, ["y", "fix", "tie"]),
        (backtest, ["y", "x", "by", "laws"]),
    ],
)
def test_arrays_and_lists_for_words_get_a_sentence(verb, options):
    for option in options:
        for wrong in (np.ones(2), pd.DataFrame({"a": [1, 2]}), *([["loss"]] if option != "laws" else [])):
            with pytest.raises(UserError, match=r"found .*wanted"):
                verb(SMALL, resamples=0, **{option: wrong})


def test_an_amount_of_use_in_words_gets_a_sentence():
    with pytest.raises(UserError, match="found much examples of use; wanted a number"):
        allocate(SMALL, at=1e12, inference="much", resamples=0)


def test_a_table_of_another_library_is_predicted(law):
    table = pa.table({"N": [1e5, 2e5], "D": [1e6, 2e6]})
    assert law.predict(table).tolist() == law.predict(table.to_pandas()).tolist()


def test_arguments_are_taken_in_the_forms_that_mean_the_same(law):
    assert backtest(SMALL, "kaplan", resamples=0).to_json() == backtest(SMALL, ["kaplan"], resamples=0).to_json()
    both = allocate(SMALL, at=np.array([1e11, 1e12]), resamples=0)
    assert both.to_dict() == allocate(SMALL, at=[1e11, 1e12], resamples=0).to_dict()
    target = {"N": 6e4, "D": 2e6}
    found = [verbs.suggest(SMALL, pool=POOL, target=one, limit=1.0) for one in (target, pd.DataFrame([target]))]
    assert found[0] == found[1]
    with pytest.raises(UserError, match="found N that is not a positive number"):
        law.predict({"N": np.ma.masked_array([1e4, 1e5], [False, True]), "D": 1e6})
    with pytest.raises(UserError, match="found arrays of several dimensions"):
        law.predict({"N": np.full((2, 3), 1e5), "D": 1e6})


def test_compute_is_six_n_d_where_a_table_has_none_and_said():
    bare, whole = (SMALL[["N", "D", "loss", *more]] for more in ([], ["C"]))
    said = "C is taken as 6 N D, as the table has none"
    for verb in (frontier, isoflop):
        found = verb(bare.assign(budget=SMALL["budget"]), resamples=0)
        assert said in found.warnings
        assert said not in verb(whole.assign(budget=SMALL["budget"]), resamples=0).warnings
    assert said not in frontier(bare.assign(hours=SMALL["C"] / 1e10), x="hours", resamples=0).warnings


def test_rows_that_are_left_out_are_said():
    table = SMALL[["N", "D", "C", "loss", "budget"]].assign(status=["crashed", *["finished"] * (len(SMALL) - 1)])
    for verb in (fit, frontier, isoflop, verbs.backtest):
        assert "left out: 1 run crashed" in verb(table, resamples=0).warnings
    assert "left out: 1 run crashed" in verbs.forecast(table, at={"C": 1e12}, resamples=20, check=False).warnings


@pytest.mark.parametrize(
    "command", [["fit"], ["frontier"], ["isoflop"], ["backtest"], ["allocate"], ["forecast", "--at", "C=1e12"]]
)
def test_the_terminal_says_which_rows_are_left_out(command, tmp_path, capsys):
    path = tmp_path / "t.csv"
    SMALL[["N", "D", "C", "loss", "budget"]].assign(status=["crashed", *["finished"] * (len(SMALL) - 1)]).to_csv(path)
    assert main([command[0], str(path), *command[1:], "--resamples", "20"]) == 0
    assert "left out: 1 run crashed" in capsys.readouterr().out


@pytest.mark.slow
def test_a_table_in_memory_is_reported(tmp_path):
    notes = [1, "two"] * (len(SMALL) // 2) + [3.0] * (len(SMALL) % 2)  # Parquet has one kind for each column
    runs = SMALL[["N", "D", "C", "loss"]].assign(note=notes, status=["diverged"] + ["finished"] * (len(SMALL) - 1))
    found = verbs.report(runs, out=tmp_path, resamples=10)
    assert found.page == tmp_path / "report.html"
    page = found.page.read_text()
    assert f"<h1>{tmp_path.name}</h1>" in page
    assert "left out: 1 run diverged" not in page  # the table of failures counts it
    assert len(fit(tmp_path / "table.parquet", resamples=0).residuals) > 0


def test_options_that_no_verb_has_are_named():
    with pytest.raises(UserError, match="the option 'wher'; wanted some of rows, where"):
        frontier(worlds.small(), wher="N > 3")
    with pytest.raises(UserError, match="shape='round'"):
        isoflop(worlds.small(), shape="round")
    with pytest.raises(UserError, match="Model Size"):
        columns(worlds.small(), N="Model Size")
