from __future__ import annotations

import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import verbs
from analysis.__main__ import main
from analysis.cli import COMMANDS
from analysis.console import console
from analysis.terminal import status
from analysis.terminal_table import table
from analysis.typed import parse_columns
from tests.analysis import worlds
from tests.analysis.worlds import World, write_results
from tests.import_counts import imported

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_results(worlds.small(), tmp_path_factory.mktemp("cli"), "quickstart")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    world, rng = World(), np.random.default_rng(0)
    N, D = np.exp(rng.uniform(np.log(1e6), np.log(1e9), 80)), np.exp(rng.uniform(np.log(1e8), np.log(1e11), 80))
    loss = world.loss(N, D) * np.exp(0.002 * rng.standard_normal(80))
    path = tmp_path_factory.mktemp("foreign") / "table.csv"
    pd.DataFrame({"Model Size": N, "Training FLOP": 6 * N * D, "loss": loss}).to_csv(path, index=False)
    return path


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def run_json(capsys, *arguments):
    code, out, err = run(capsys, *arguments, "--json", "-")
    assert code == 0, err
    return json.loads(out)


def test_the_home_of_nobody_is_one_sentence(capsys):
    code, _, err = run(capsys, "fit", "~nobody-here/x.csv", "--law", "power")
    assert (code, "found ~ before a name that no user here has" in err) == (2, True)


def test_fit_of_a_foreign_table_recovers_the_law(capsys, foreign):
    fit = run_json(
        capsys,
        "fit",
        foreign,
        "--columns",
        "N=Model Size,C=Training FLOP",
        "--derive",
        "D = C/(6*N)",
        "--resamples",
        200,
    )
    assert fit["params"]["alpha"] == pytest.approx(0.30, abs=0.02)
    assert fit["intervals"]["alpha"][0] < fit["params"]["alpha"] < fit["intervals"]["alpha"][1]
    assert fit["objective"]["name"] == "huber"
    assert fit["certificate"]["status"] == "ok"
    assert set(fit) >= {"law", "y", "level", "n_points", "n_runs", "allocation", "warnings"}


def test_each_command_gives_json_and_text(capsys, folder, tmp_path):
    for command, key in (("fit", "params"), ("frontier", "points"), ("isoflop", "budgets"), ("allocate", "approaches")):
        path = tmp_path / f"{command}.json"
        code, out, err = run(capsys, command, folder, "--resamples", 10, "--json", path)
        assert (code, err) == (0, "")
        assert out.strip()
        assert json.loads(path.read_text())[key]


@pytest.mark.slow
def test_isoflop_and_allocation_find_the_world(capsys, folder):
    found = run_json(capsys, "isoflop", folder, "--resamples", 40)
    low, high = found["N_law"]["exponent_interval"]
    assert low < World().exponent < high
    shaped = run_json(capsys, "isoflop", folder, "--resamples", 10, "--shape", "chinchilla")
    assert shaped["N_law"]["exponent"] == pytest.approx(World().exponent, abs=0.02)
    split = run_json(capsys, "allocate", folder, "--resamples", 30, "--at", "C=1e12,10 TFLOPs")
    assert [t["C"] for t in split["approaches"][-1]["targets"]] == [1e12, 1e13]
    assert split["agree"] is True
    assert "lifetimes" not in split
    (used,) = run_json(capsys, "allocate", folder, "--resamples", 0, "--inference", "1B", "--reach", 0.9)["lifetimes"]
    assert used["best"]["total"] < used["trained"]["total"]


def test_a_warning_of_the_law_is_printed_once_where_inference_is_counted(capsys, folder):
    _, out, _ = run(capsys, "allocate", folder, "--resamples", 0, "--inference", "1e9", "--at", "1e11")
    lines = [line.removeprefix("! ").removeprefix("3 Chinchilla law: ") for line in out.splitlines() if line[:1] == "!"]
    assert any("all runs share the test set" in line for line in lines)
    assert len(set(lines)) == len(lines)


def test_frontier_carries_its_law(capsys, folder):
    found = run_json(capsys, "frontier", folder, "--resamples", 20, "--rule", "pareto", "--law", "saturating")
    assert found["fit"]["law"] == "saturating"
    assert run_json(capsys, "frontier", folder, "--resamples", 0, "--law", "none")["fit"] is None


def test_forecast_in_two_steps(capsys, folder):
    at = ("--at", "C=3e10", "--y", "error", "--via", "loss", "--resamples", 20, "--no-check")
    (found,) = run_json(capsys, "forecast", folder, *at)["forecasts"]
    assert found["interval"][0] < found["value"] < found["interval"][1]
    assert found["via"]["y"] == "loss"


@pytest.mark.slow
def test_forecast_holds_the_truth_and_says_how_far_it_looks(capsys, folder):
    at = ("--at", "C=30 GFLOPs", "--at", "N=20k,D=2e5")
    found = run_json(capsys, "forecast", folder, *at, "--resamples", 50, "--no-check")
    world = World()
    for one in found["forecasts"]:
        truth = float(world.loss(np.array(one["at"]["N"]), np.array(one["at"]["D"])))
        assert one["run_interval"][0] < truth < one["run_interval"][1]
    assert found["at"]["C"] == 3e10
    assert found["beyond"]["N"] == pytest.approx(found["at"]["N"] / 41856)
    code, out, _ = run(capsys, "forecast", folder, "--law", "power", "--x", "C", "--at", "1e13", "--resamples", 20)
    assert code == 0
    assert "times beyond the largest run" in out


@pytest.mark.slow
def test_backtest_ranks_the_true_law_first(capsys, folder):
    found = run_json(capsys, "backtest", folder, "--resamples", 0)
    assert found["best"] == "chinchilla"
    one = ("--law", "power,saturating", "--x", "D", "--where", "width == 64", "--resamples", 20)
    code, out, _ = run(capsys, "backtest", folder, *one)
    assert code == 0
    assert "saturating" in out


@pytest.mark.slow
def test_card_and_conventions(capsys, folder):
    code, out, _ = run(capsys, "fit", folder, "--resamples", 0, "--card")
    assert code == 0
    assert "Hoffmann" in out
    worlds_found = run_json(capsys, "fit", folder, "--resamples", 0, "--multiverse")["multiverse"]
    assert {"N": "N_body", "D": "D", "C": "C"} in [world["columns"] for world in worlds_found["worlds"]]
    low, high = worlds_found["N_exponents"]
    assert high - low > 0.05


@pytest.mark.slow
def test_collect_writes_what_fit_reads(capsys, folder, tmp_path):
    for name in ("table.csv", "table.parquet", "table.jsonl"):
        said = run_json(capsys, "collect", folder, "-o", tmp_path / name)
        assert (said["rows"], said["runs"], said["status"]) == (48, 48, {"finished": 48})
        fit = run_json(capsys, "fit", tmp_path / name, "--resamples", 0)
        assert fit["n_points"] == 48
    code, out, _ = run(capsys, "collect", folder)
    assert code == 0
    assert (folder / "table.parquet").exists()
    assert "48 finished" in out


def test_collect_puts_sweeps_together_once(capsys, folder, tmp_path):
    other = folder.parent / "other"
    other.mkdir()
    plan = (folder / "plan.csv").read_text().splitlines()
    (other / "plan.csv").write_text("\n".join(plan[:11]) + "\n")
    said = run_json(capsys, "collect", folder, other, "-o", tmp_path / "both.csv")
    assert said["runs"] == 48
    code, _, err = run(capsys, "collect", folder, other)
    assert (code, "wanted -o FILE" in err) == (2, True)


def test_report_ends_with_its_path(capsys, tmp_path):
    small = worlds.isoflop(World(), widths=(8, 16), budgets=(1e9, 4e9), seeds=2)
    folder = write_results(small.assign(error=np.nan, metric="squared_error"), tmp_path)
    code, out, err = run(capsys, "report", folder, "--resamples", 0)
    assert code == 0
    assert out.strip() == str(folder / "report.html")
    assert "drawing figures" in err


@pytest.mark.slow
def test_figures_are_saved_where_asked(capsys, tmp_path):
    small = worlds.isoflop(World(), widths=(8, 16), budgets=(1e9, 2e9), seeds=1)
    folder = write_results(small.assign(error=np.nan), tmp_path)
    said = run_json(capsys, "report", folder, "--resamples", 0, "--figures")["figures"]
    assert said == [str(folder / "figures" / f"loss_vs_compute.{kind}") for kind in ("png", "pdf", "svg")]
    assert sorted(said) == sorted(map(str, (folder / "figures").iterdir()))
    for name in said:
        Path(name).unlink()
    _, _, err = run(capsys, "report", folder, "--resamples", 0, "--json", tmp_path / "report.json")
    assert f"{folder}/figures is of an earlier report" in err
    assert json.loads((tmp_path / "report.json").read_text())["figures"] == []
    assert list((folder / "figures").iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["fit", "{csv}"], 2, "no column 'D'"),
        (["fit", "{csv}", "--columns", "N=Size"], 2, "no column 'Size'; the table has Model Size"),
        (["fit", "{csv}", "--columns", "nonsense"], 2, "wanted NAME=COLUMN pairs"),
        (["fit", "{csv}", "--columns", "N=Model Size,N=loss"], 2, "two columns for N"),
        (["fit", "{csv}", "--seed", "-1"], 2, "--seed"),
        (["fit", "{csv}", "--derive", "D = open('x')"], 2, "call"),
        (["fit", "{folder}", "--where", "loss < 0"], 2, "no row is left"),
        (["fit", "{folder}", "--where", "loss <"], 2, "no expression"),
        (["fit", "{csv}", "--law", "nope"], 2, "power, saturating"),
        (["fit", "{folder}", "--objective", "nope"], 2, "huber"),
        (["fit", "{folder}", "--y", "nope"], 2, "no column 'nope'"),
        (["fit", "{folder}", "--level", "1.5"], 2, "--level"),
        (["fit", "nothing.csv"], 2, "found nothing at nothing.csv"),
        (["fit"], 2, "found no TABLE; write `"),
        (["fti", "x"], 2, "fti"),
        (["fit", "{folder}", "--where", "width == 8 and budget == 4e8"], 3, ""),
        (["isoflop", "{csv}", "--columns", "N=Model Size,C=Training FLOP"], 3, "does not fall into budgets"),
        (["frontier", "{folder}", "--where", "budget == 4e8"], 3, "wanted 3"),
        (["frontier", "{folder}", "--rule", "best"], 2, "envelope"),
        (["allocate", "{folder}", "--at", "many"], 2, "C=1e18"),
        (["allocate", "{folder}", "--at", "-5"], 2, "POSITIVE"),
        (["forecast", "{folder}", "--at", "1e9", "--link", "power"], 2, "--via"),
        (["allocate", "{folder}", "--reach", "0.9"], 2, "--inference"),
        (["allocate", "{folder}", "--inference", "1e9", "--resamples", "0"], 2, "--at C or --reach"),
        (["forecast", "{folder}"], 2, "--at"),
        (["forecast", "{folder}", "--at", "N=1e6"], 2, "forecasts at N, D"),
        (["forecast", "{folder}", "--at", "C=0"], 2, "POSITIVE"),
        (["backtest", "{folder}", "--law", "nope"], 2, "power, saturating"),
        (["backtest", "{folder}", "--by", "nope"], 2, "no column 'nope'"),
        (["collect", "{folder}", "-o", "table.xlsx"], 2, "wanted one that ends in"),
        (["report", "nowhere"], 2, "found nothing at nowhere"),
        (["collect", "nowhere"], 2, "found nothing at nowhere"),
    ],
)
def test_bad_questions_get_one_sentence(capsys, folder, foreign, arguments, code, said):
    filled = [argument.format(csv=foreign, folder=folder) for argument in arguments]
    got, out, err = run(capsys, *filled)
    assert got == code
    assert out == ""
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert said in err


def test_a_refusal_by_every_approach_is_said_in_full_and_exits_so(capsys, tmp_path):
    table = tmp_path / "few.csv"
    rows = {"N": 1e6, "D": np.array([1e8, 2e8, 3e8, 4e8]), "loss": [3.0, 2.9, 2.8, 2.7]}
    pd.DataFrame(rows).assign(C=lambda row: 6 * row.N * row.D).to_csv(table, index=False)
    code, out, err = run(capsys, "allocate", table, "--json", tmp_path / "few.json")
    assert code == 3
    assert err.startswith("error: no approach can split")
    found = json.loads((tmp_path / "few.json").read_text())
    assert [a["status"] for a in found["approaches"]] == ["refused"] * 4
    text = " ".join(out.split())
    assert all(" ".join(a["reason"].split()) in text for a in found["approaches"])
    code, out, _ = run(capsys, "allocate", table, "--json", "-")
    assert (code, json.loads(out)) == (3, found)


def test_recipes_are_refused_with_what_to_do(capsys, tmp_path):
    table = worlds.small()
    table.loc[::2, "schedule"] = "constant"
    folder = write_results(table, tmp_path)
    code, _, err = run(capsys, "fit", folder)
    assert code == 3
    assert "--pool schedule" in err
    assert run(capsys, "fit", folder, "--pool", "schedule", "--resamples", 0)[0] == 0


def test_of_several_conditions_all_hold(capsys, tmp_path):
    table = worlds.small()[["N", "D", "loss"]]
    table.to_csv(tmp_path / "t.csv", index=False)
    N, D = table["N"].median(), table["D"].median()
    said = run_json(capsys, "fit", tmp_path / "t.csv", "--law", "power", "--x", "D", "--resamples", 0,
                    "--where", f"N <= {N}", "--where", "", "--where", f"D <= {D} or D > 1e9")  # fmt: skip
    assert said["n_points"] == int(((table["N"] <= N) & (table["D"] <= D)).sum())


def test_columns_may_hold_commas_and_quotes():
    assert parse_columns(["N=Model Size,C=Training FLOP"]) == {"N": "Model Size", "C": "Training FLOP"}
    assert parse_columns(["loss=loss (C4, 10k, EMA),N=n", "D=d,"]) == {
        "loss": "loss (C4, 10k, EMA)",
        "N": "n",
        "D": "d",
    }
    assert parse_columns(['N="Size, all",C=c', "loss='my loss'"]) == {"N": "Size, all", "C": "c", "loss": "my loss"}


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(capsys, name):
    code, out, _ = run(capsys, name, "--help")
    assert code == 0
    assert f"scaling {name} " in out


@pytest.mark.parametrize("name", [name for name in COMMANDS if name in verbs.__all__])
def test_a_verb_and_its_function_have_the_same_defaults(name):
    command = {one.name: one.default for one in COMMANDS[name].params if isinstance(one.default, int | float | str)}
    function = {key: one.default for key, one in inspect.signature(getattr(verbs, name)).parameters.items()}
    shared = [key for key, value in function.items() if isinstance(value, int | float | str) and key in command]
    assert {key: command[key] for key in shared} == {key: function[key] for key in shared}


def test_help_imports_next_to_nothing():
    assert imported("analysis", "--help", folder=ROOT) == {"analysis", "click"}


@pytest.mark.slow
def test_stdout_holds_nothing_but_json(folder):
    command = [sys.executable, "-m", "analysis", "frontier", str(folder), "--resamples", "50", "--json", "-"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True)
    assert json.loads(done.stdout)["points"]
    assert done.stderr == ""


LOUD = """\
from analysis.laws import own_law

print("loaded")
LINE = own_law(
    "line",
    lambda p, x: p.E + p.A / x.D**p.k,
    params={"E": (0, 2), "A": (0.1, 1e4), "k": (0.05, 2)},
    inputs=("D",),
)
"""


@pytest.mark.slow
def test_a_law_s_module_that_prints_leaves_json_alone(folder, tmp_path):
    (tmp_path / "loud_laws.py").write_text(LOUD)
    command = [sys.executable, "-m", "analysis", "fit", str(folder), "--law", "loud_laws:LINE", "--resamples", "0"]
    done = subprocess.run([*command, "--json", "-"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert json.loads(done.stdout)["law"] == "line"
    assert "loaded" in done.stderr


def test_what_users_call_their_columns_is_printed_as_it_is(capsys):
    out = console()
    out.print(table(("[/old]", "[red]"), [("[/]x", status("weak", "of [/old]")), ("[b]", "")]))
    said = capsys.readouterr().out
    assert all(text in said for text in ("[/old]", "[red]", "[/]x", "weak of [/old]", "[b]"))


MINE = """\
from analysis.laws import own_law

MINE = own_law(
    "mine",
    lambda p, x: p.E + p.A * x.N**-p.a + p.B * x.D**-p.b,
    params={"E": (0, 2), "A": (0.1, 1e4), "a": (0.05, 2), "B": (0.1, 1e4), "b": (0.05, 2)},
    inputs=("N", "D"),
    exponents={"a": "N", "b": "D"},
    formula="E + A N^-a + B D^-b",
)
"""


@pytest.mark.slow
@pytest.mark.slow
def test_an_own_law_forecasts_and_varies_as_a_built_in_one(capsys, folder, tmp_path, monkeypatch):
    (tmp_path / "mine_laws.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    law = ("--law", "mine_laws:MINE", "--resamples", 10)
    found = run_json(capsys, "forecast", folder, *law, "--at", "C=3e10")
    assert found["supported"] >= 1
    worlds_found = run_json(capsys, "fit", folder, "--law", "mine_laws:MINE", "--resamples", 0, "--multiverse")
    assert len(worlds_found["multiverse"]["worlds"]) > 1
    _, out, _ = run(capsys, "fit", folder, *law)
    assert "E + A N^-a + B D^-b" in out
    (tmp_path / "broken_laws.py").write_text(MINE.replace("x.N", "x.n"))
    code, _, err = run(capsys, "fit", folder, "--law", "broken_laws:MINE")
    assert (code, "there is no 'n'" in err) == (2, True)


def test_parameters_are_fixed_and_tied(capsys, folder):
    found = run_json(capsys, "fit", folder, "--fix", "E=0.35", "--tie", "alpha=beta", "--resamples", 10)
    assert found["params"]["E"] == 0.35
    assert found["params"]["alpha"] == found["params"]["beta"]
    code, out, _ = run(capsys, "forecast", folder, "--fix", "E=0.35", "--at", "C=3e10", "--resamples", 10)
    assert code == 0
    assert "C = 3×10¹⁰" in out
    for wrong in (("--fix", "E"), ("--fix", "E=x"), ("--tie", "alpha"), ("--fix", "zeta=1")):
        assert run(capsys, "fit", folder, *wrong)[0] == 2


def test_a_choice_of_runs_keeps_what_is_fixed(capsys, folder, tmp_path):
    wide = tmp_path / "candidates.csv"
    pd.DataFrame({"N": [3e4, 6e4], "D": [1e6, 2e6], "cost": [1.0, 1.0]}).to_csv(wide, index=False)
    asked = ("choose", folder, "--candidates", wide, "--target", "N=6e4,D=2e6", "--limit", 2)
    assert "chinchilla has E fixed at 0.35" in run_json(capsys, *asked, "--fix", "E=0.35")["warnings"]


@pytest.mark.slow
def test_a_frontier_over_any_column(capsys, folder):
    for x in ("D", "seconds", "N"):
        found = run_json(capsys, "frontier", folder, "--x", x, "--resamples", 0)
        assert found["fit"]["card"]["columns"] == {"x": x}
