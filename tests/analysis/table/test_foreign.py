"""Other people's tables: what their columns stand for, which runs their rows are of, which of them ended."""

from __future__ import annotations

import gzip
import json
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from analysis import fit
from analysis.errors import UserError
from analysis.estimates.frontier import frontier
from analysis.estimates.isoflop import isoflop
from analysis.table.columns import numbers_of
from analysis.table.read import derive_column, load_table
from analysis.table.remarks import remarks_of
from analysis.table.roles import role_of
from analysis.table.select import select_rows
from analysis.table.units import doubtful_units

TABLE = pd.DataFrame({"N": [1e6, 2e6, 4e6], "D": [1e8, 2e8, 4e8], "loss": [3.25, 3.0, 2.75]})


def selected(table: pd.DataFrame, **how) -> tuple[pd.DataFrame, list[str], str]:
    rows, left_out = select_rows(load_table(table), y=how.pop("y", "loss"), **how)
    return rows, left_out, "; ".join(remarks_of(rows))


@pytest.mark.parametrize(
    ("column", "role", "factor"),
    [
        ("params", "N", 1),
        ("Model Size", "N", 1),
        ("Params (B)", "N", 1e9),
        ("params_in_millions", "N", 1e6),
        ("config.n_params", "N", 1),
        ("tokens_B", "D", 1e9),
        ("data.tokens", "D", 1),
        ("Training FLOP", "C", 1),
        ("GFLOPs", "C", 1e9),
        ("Training compute (PF-days)", "C", 8.64e19),
        ("compute (1e18 FLOP)", "C", 1e18),
        ("val/loss", "loss", 1),
        ("summary.val/loss", "loss", 1),
        ("Loss", "loss", 1),
        ("d_model", "width", 1),
    ],
)
def test_columns_are_known_by_the_names_that_others_give_them(column, role, factor):
    found = role_of(column)
    assert (found.name, found.factor) == (role, factor)


@pytest.mark.parametrize("column", ["n", "d", "train/loss", "params_active_precise", "steps", "size", "name", "lr"])
def test_what_may_mean_something_else_is_left_alone(column):
    assert role_of(column) is None


def test_what_a_column_was_taken_for_is_said():
    table = TABLE.rename(columns={"N": "params", "D": "tokens_B", "loss": "val_loss"})
    rows, _, said = selected(table.assign(tokens_B=table["tokens_B"] / 1e9))
    np.testing.assert_allclose(rows[["N", "D", "loss"]], TABLE)
    assert "N is taken from params, D is taken from tokens_B x 1e+09, loss is taken from val_loss" in said
    with pytest.raises(UserError, match="val_loss, test_loss may be meant: choose one with --columns loss=val_loss"):
        selected(TABLE.drop(columns="loss").assign(val_loss=1.0, test_loss=1.0))
    with pytest.raises(UserError, match=r'--derive "error = 1 - `Top-1 acc`" --y error'):
        selected(TABLE.drop(columns="loss").rename_axis(index=None).assign(**{"Top-1 acc": 0.5}))


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("1.3B", 1.3e9),
        ("125M", 125e6),
        ("45 %", 0.45),
        ("1,000,000", 1e6),
        ("1_000", 1e3),
        ("6e20", 6e20),
        ("7 k", 7e3),
    ],
)
def test_numbers_are_read_as_people_write_them(written, number):
    column = pd.Series([written, "2", None, "n/a"])
    np.testing.assert_allclose(numbers_of(column, "N"), [number, 2, np.nan, np.nan])
    rows, _, said = selected(TABLE.assign(N=["1.3B", "2.7B", "6.7B"]))
    assert rows["N"].tolist() == [1.3e9, 2.7e9, 6.7e9]
    assert "N holds words such as '1.3B', read as 1.3e+09" in said


@pytest.mark.parametrize("bad", ["about 3", "1.3X", "3,14", "1B2"])
def test_what_is_no_number_is_named(bad):
    with pytest.raises(UserError, match="wanted numbers"):
        numbers_of(pd.Series(["1", bad]), "N")


@pytest.mark.parametrize(
    ("column", "finished", "other"),
    [
        ("status", "Finished", "RUNNING"),
        ("State", "finished", "crashed"),
        ("state", "COMPLETE", "PRUNED"),
        ("STATUS", "Success", "Killed"),
        ("JobState", "COMPLETED", "OUT_OF_MEMORY"),
        ("State", "COMPLETED", "CANCELLED by 1000"),
        ("status", "done", "Failed"),
        ("finished", True, False),
        ("crashed", "no", "yes"),
    ],
)
def test_runs_that_did_not_end_are_left_out(column, finished, other):
    rows, left_out, _ = selected(TABLE.assign(**{column: [finished, other, finished]}))
    assert rows["loss"].tolist() == [3.25, 2.75]
    assert len(left_out) == 1
    assert left_out[0].startswith("1 run ")


def test_they_are_used_where_asked_and_words_that_are_no_status_say_nothing():
    table = TABLE.assign(State=["finished", "Running", "finished"])
    assert len(selected(table, keep=["running"])[0]) == 3
    assert len(selected(TABLE.assign(state=["NY", "CA", "TX"]))[0]) == 3
    _, _, said = selected(TABLE.assign(status=["finished", "odd", "finished"]))
    assert "a status holds odd" in said


def curves(column: str, points: int = 4) -> pd.DataFrame:
    """Three runs of one N each, with rising D under a column that names them."""
    names = np.repeat(["a", "b", "c"], points)
    D = np.tile(1e8 * 2.0 ** np.arange(points), 3)
    return pd.DataFrame({column: names, "N": np.repeat([1e6, 2e6, 4e6], points), "D": D, "loss": 3 - np.log10(D / 1e8)})


@pytest.mark.parametrize("column", ["run_name", "Run", "Name", "wandb_run", "id"])
def test_milestones_under_a_run_s_name_are_of_one_run(column):
    rows, _, said = selected(curves(column))
    assert rows["run_id"].nunique() == 3
    assert f"12 rows are milestones of 3 runs, by the column {column}" in said
    assert selected(curves(column), run_column="none")[0]["run_id"].nunique() == 12


def test_other_words_with_milestones_are_asked_about():
    rows, _, said = selected(curves("Model kind"))
    assert "run_id" not in rows.columns
    assert '--run-column "Model kind"' in said
    assert selected(curves("Model kind"), run_column="Model kind")[0]["run_id"].nunique() == 3
    with pytest.raises(UserError, match="no column 'other' to name the runs"):
        selected(curves("Model kind"), run_column="other")
    one_each = curves("name").assign(name=[f"run {i}" for i in range(12)])
    assert "run_id" not in selected(one_each)[0].columns


@pytest.mark.parametrize(
    ("units", "wanted"),
    [
        ({"N": 1, "D": 1, "C": 1}, ""),
        ({"N": 1, "D": 1, "C": 1e-9}, 'C seems to be in GFLOPs; if so, --derive "C = 1e9 * C"'),
        ({"N": 1, "D": 1, "C": 1 / 8.64e19}, "PFLOP/s-days"),
        ({"N": 1e-9, "D": 1, "C": 1}, 'N seems to be in billions; if so, --derive "N = 1e9 * N"'),
        ({"N": 1e-9, "D": 1e-9, "C": 1}, 'N seems to be in billions and D seems to be in billions; if so, --derive "N'),
        ({"N": 1e-9, "D": 1}, "in millions or billions"),
        ({"N": 1, "D": 1, "C": 1e9}, "not in weights, examples and FLOPs"),
        ({"N": 1, "D": 1, "C": 50}, ""),
    ],
)
def test_units_are_questioned(units, wanted):
    N, D = np.array([70e6, 1.3e9, 7.1e9]), np.array([2e9, 26e9, 140e9])
    table = pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "loss": 3.0})[[*units, "loss"]]
    said = doubtful_units(table.assign(**{name: table[name] * unit for name, unit in units.items()}))
    assert len(said) == bool(wanted)
    assert wanted in "".join(said)


def test_a_settings_several_values_are_noted():
    table = pd.concat([TABLE, TABLE], ignore_index=True).assign(dataset=["a", "b"] * 3, lr=[1e-3, 1e-3, 3e-3] * 2)
    _, _, said = selected(table)
    assert "runs of 2 values of dataset (a, b) are pooled; runs of 2 values of lr (0.001, 0.003) are pooled" in said
    assert "pooled" not in selected(table.assign(dataset="a", lr=1e-3))[2]


LINES = "N,D,loss\n1e6,1e8,3.25\n2e6,2e8,3.0\n4e6,4e8,2.75\n"
ROWS = [dict(zip(TABLE.columns, row, strict=True)) for row in TABLE.to_numpy().tolist()]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.tsv", LINES.replace(",", "\t")),
        ("t.csv", LINES.replace(",", ";")),
        ("decimal.csv", LINES.replace(",", ";").replace(".", ",")),
        ("t.txt", LINES.replace(",", " ")),
        ("pipes.csv", LINES.replace(",", "|")),
        ("comment.csv", "# made by hand\n# in May\n" + LINES.replace("4e6", "# later\n4e6")),
        ("spaces.csv", LINES.replace(",", " , ")),
        ("utf16.csv", LINES.encode("utf-16")),
        ("bom.csv", LINES.encode("utf-8-sig")),
        ("latin.csv", ("größe," + LINES.replace("\n", "\né,")[:-2]).encode("latin-1")),
        ("index.csv", TABLE.to_csv()),
        ("blank.csv", LINES.replace("\n", "\n\n")),
        ("trailing.csv", LINES.replace("\n", ",\n")),
        ("crlf.csv", LINES.replace("\n", "\r\n")),
        ("rows.json", json.dumps(ROWS)),
        ("columns.json", TABLE.to_json()),
        ("split.json", TABLE.to_json(orient="split")),
        ("inside.json", json.dumps({"runs": ROWS, "made": "by hand"})),
        ("nested.json", json.dumps([{"name": "a", "config": {"lr": 1e-3}, **row} for row in ROWS])),
        ("lines.json", "\n".join(map(json.dumps, ROWS))),
        ("t.ndjson", "\n".join(map(json.dumps, ROWS))),
        ("t.csv.gz", gzip.compress(LINES.encode(), mtime=0)),
        ("t.jsonl.gz", gzip.compress("\n".join(map(json.dumps, ROWS)).encode(), mtime=0)),
    ],
)
def test_files_are_read_in_the_forms_that_people_save_them(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    np.testing.assert_allclose(load_table(path)[["N", "D", "loss"]], TABLE)


def test_one_table_in_a_zip_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("folder/t.csv", LINES)
        archive.writestr("__MACOSX/t.csv", "x")
        archive.writestr("README.md", "read me")
    np.testing.assert_allclose(load_table(tmp_path / "t.zip"), TABLE)
    with zipfile.ZipFile(tmp_path / "t.zip", "a") as archive:
        archive.writestr("other.csv", LINES)
    with pytest.raises(UserError, match="found 2 tables"):
        load_table(tmp_path / "t.zip")


def test_a_spreadsheet_is_read_with_the_extra(tmp_path):
    pytest.importorskip("openpyxl")
    TABLE.to_excel(tmp_path / "t.xlsx", index=False)
    np.testing.assert_allclose(load_table(tmp_path / "t.xlsx"), TABLE)
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(tmp_path / "t.xlsx", "t.xlsx")
    np.testing.assert_allclose(load_table(tmp_path / "t.zip"), TABLE)
    (tmp_path / "broken.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot be read as xlsx"):
        load_table(tmp_path / "broken.xlsx")


def test_a_spreadsheet_says_what_it_wants_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"without the package openpyxl.*pip install"):
        load_table(tmp_path / "t.xlsx")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"N": [1], "loss": [2]}, "found a dict; wanted a pandas DataFrame"),
        ([1, 2], "found a list; wanted a pandas DataFrame"),
        (pd.DataFrame([[1, 2]]), "wanted names in words"),
        (pd.DataFrame([[1, 2]], columns=["N", "N"]), "two columns named 'N'"),
    ],
)
def test_what_is_no_table_is_named(source, said):
    with pytest.raises(UserError, match=said):
        load_table(source)


def test_names_of_trackers_stand_in_conditions_as_they_are():
    table = TABLE.assign(**{"config.lr": [0.1, 0.2, 0.3], "val/acc": [0.1, 0.2, 0.3], "Model Size": [1, 2, 3]})
    for condition in ("config.lr < 0.25", "val/acc < 0.25", "Model Size < 3", "`config.lr` < 0.25"):
        assert len(selected(table, where=condition)[0]) == 2
    words = table.assign(**{"config.data": ["val/acc", "b", "c"]})
    assert len(selected(words, where="config.data == 'val/acc'")[0]) == 1
    assert (
        len(selected(table.assign(val=[1, 2, 4], acc=2), where="val/acc >= 1")[0]) == 2
    )  # arithmetic, where it may be


def test_lists_in_cells_are_words(tmp_path):
    table = pd.DataFrame({**TABLE, "tags": [["a"], ["a"], ["b"]], "config": [{"lr": 1}] * 3})
    assert len(selected(table)[0]) == 3
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({**row, "tags": ["a"]}) for row in ROWS))
    assert load_table(tmp_path / "t.jsonl")["tags"].tolist() == ["['a']"] * 3


@pytest.mark.parametrize("accuracies", [["55 %", "60 %", "62 %", "70 %"], [0.55, 0.6, 0.62, 0.7]])
def test_an_accuracy_is_turned_round(accuracies):
    size = [1.0, 2.0, 4.0, 8.0]
    table = pd.DataFrame({"N": size, "D": size, "C": size, "top1": accuracies})
    assert derive_column(table, "error = 1 - top1")["error"].tolist() == pytest.approx([0.45, 0.4, 0.38, 0.3])
    with pytest.raises(UserError, match='top1 rises with size, and laws fall; take --derive "error = 1 - top1" --y'):
        fit(table, "power", x="N", y="top1")
    per_cent = pd.DataFrame({"N": size, "C": size, "accuracy": [55.0, 60.0, 62.0, 70.0]})
    with pytest.raises(UserError, match='"error = 1 - accuracy / 100" --y error'):
        frontier(per_cent, y="accuracy")


@pytest.mark.parametrize(("bad", "condition"), [(np.nan, "N > 0"), (-1.0, "N > 0"), (np.inf, "N > 0 and N < 1e300")])
def test_sizes_without_a_logarithm_are_named_by_every_verb(bad, condition):
    table = pd.DataFrame({"N": [1e6, bad, 4e6, 8e6], "C": [1e12, 2e12, 4e12, 8e12], "loss": [3.0, 2.8, 2.6, 2.5]})
    for find in (frontier, isoflop, lambda rows: fit(rows, "power", x="N")):
        with pytest.raises(UserError, match=f"1 of 4 rows whose N is not a positive number.*{condition}"):
            find(table)
