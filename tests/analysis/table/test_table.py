from __future__ import annotations

import itertools
import json
import logging

import numpy as np
import pandas as pd
import pytest

from analysis.errors import Refusal, UserError
from analysis.table.cells import cells
from analysis.table.mixtures import mixtures_of
from analysis.table.read import derive_column, load_table, rename_columns
from analysis.table.remarks import remarks_of
from analysis.table.results import precisions
from analysis.table.select import rows_where, select_rows
from analysis.table.write import write_table
from tests.analysis.worlds import World, curves, grid, isoflop, write_results


@pytest.fixture(scope="module")
def sweep():
    return isoflop(World(), widths=(8, 16, 32), budgets=(1e9, 4e9), seeds=2)


def spoiled(table):
    """Mark one run diverged, one failed, one missing, one at chance."""
    table = table.copy()
    numbers = ["loss", "error", "D", "C", "step"]
    table.loc[0, ["status", "loss"]] = ["diverged", np.nan]
    for row, status in ((1, "failed"), (2, "missing")):
        table.loc[row, "status"] = status
        table.loc[row, numbers] = np.nan
    table.loc[3, "flags"] = "at_chance"
    return table


def test_results_folder_comes_back_as_written(tmp_path, sweep):
    read = load_table(write_results(sweep, tmp_path))
    assert len(read) == len(sweep)
    both = read.merge(sweep, on="run_id", suffixes=("", "_written"))
    for column in ("N", "D", "C", "loss", "error", "run_C", "budget", "epochs", "step"):
        np.testing.assert_allclose(both[column], both[f"{column}_written"], rtol=1e-12, err_msg=column)
    assert read["final"].all()
    assert set(read["task"]) == {"test"}
    assert set(read["lr_rule"]) == {"0.001"}


def test_columns_stand_in_one_order_and_the_rate_is_the_run_s(tmp_path, sweep):
    folder = write_results(sweep, tmp_path)
    for path in folder.parent.glob("runs/*/record.json"):
        record = json.loads(path.read_text())
        record["points"] = [{**point, "lr": 0.0, "a_new_number": 1.0} for point in record["points"]]
        path.write_text(json.dumps(record))
    read = load_table(folder)
    behind = [name for name in read.columns if name not in pd.read_csv(folder / "plan.csv").columns]
    ahead = ["status", "flags", "reason", "run_D", "run_C"]
    assert [name for name in behind if name in ahead] == ahead
    point = ["step", "loss", "error", "final", "a_new_number"]
    assert [name for name in behind if name in point] == point
    assert set(read["lr"]) == {1e-3}  # a cosine ends at 0, which is no setting to choose rows by


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: text + text])
def test_a_plan_that_is_cut_or_doubled_is_no_smaller_or_larger_sweep(tmp_path, sweep, damage):
    folder = write_results(sweep, tmp_path)
    path = folder / "plan.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(UserError, match="cannot be read as a plan"):
        load_table(folder)


def test_a_record_that_cannot_be_read_is_not_called_damaged(tmp_path, sweep):
    """Its run need not be trained again."""
    folder = write_results(sweep, tmp_path)
    path = next(folder.parent.glob("runs/*/record.json"))
    path.unlink()
    path.symlink_to(path.name)
    table = load_table(folder)
    [reason] = table.loc[table["run_id"] == path.parent.name, "reason"]
    assert reason == "its record.json cannot be read (Too many levels of symbolic links)"


def with_setting(folder):
    """Note a setting that every other run has: in the overrides of the plan, or at its default in the config alone."""
    plan = pd.read_csv(folder / "plan.csv", dtype=str)
    plan["overrides"] = [f"model.width=8 model.dropout={0.3 if i % 2 else 0} seed=0" for i in range(len(plan))]
    plan.loc[0, "overrides"] = "model.width=8 seed=0"
    plan.to_csv(folder / "plan.csv", index=False)
    for i, run_id in enumerate(plan["run_id"]):
        path = folder.parent / "runs" / run_id / "record.json"
        record = json.loads(path.read_text())
        record["config"] = {"model": {"dropout": 0.3 if i % 2 else 0.0, "bias": True}}
        path.write_text(json.dumps(record))
    return folder


def test_settings_that_a_sweep_varies_are_columns_and_kinds_of_runs(tmp_path, sweep):
    folder = with_setting(write_results(sweep, tmp_path))
    read = load_table(folder)
    assert read["model.dropout"].tolist() == [0.3 if i % 2 else 0.0 for i in range(len(sweep))]
    assert not {"model.width", "model.bias", "data.size"} & set(read.columns)
    rows, _ = select_rows(read, y="loss")
    [mixture] = mixtures_of(rows)
    assert mixture.words == "runs of 2 values of model.dropout (0, 0.3) are pooled"
    assert mixtures_of(select_rows(read, y="loss", where="`model.dropout` == 0.3")[0]) == ()
    write_table(read, tmp_path / "t.csv")
    assert [one.name for one in mixtures_of(select_rows(load_table(tmp_path / "t.csv"), y="loss")[0])] == [mixture.name]


def test_families_and_data_sets_of_a_sweep_are_kinds_of_runs(sweep):
    two = pd.concat([sweep, sweep.assign(run_id=sweep["run_id"] + "b", family="conv", data="digits")])
    assert [one.name for one in mixtures_of(select_rows(two, y="loss")[0])] == ["family"]  # the data goes with it


def test_a_number_of_the_model_that_changes_n_is_a_part_of_its_size(sweep):
    blocks, dropout = [1, 2], [0.0, 0.3]
    parts = [
        sweep.assign(**{"N": sweep["N"] * (1 + k), "model.kwargs.blocks": k, "model.kwargs.dropout": p})
        for k, p in itertools.product(blocks, dropout)
    ]
    rows, _ = select_rows(pd.concat(parts), y="loss")
    assert [one.name for one in mixtures_of(rows)] == ["model.kwargs.dropout"]


def test_a_preset_of_the_model_with_one_n_each_is_a_part_of_its_size(sweep):
    """One run of each too; text that goes with another size may be a kind, as gated layers are."""
    ladder = sweep.drop_duplicates("N").reset_index(drop=True)
    presets = ladder.assign(**{"model.kwargs.size": [f"size {i}" for i in range(len(ladder))]})
    assert mixtures_of(select_rows(presets, y="loss")[0]) == ()
    gated = sweep.assign(**{"N": 1.5 * sweep["N"], "model.kwargs.layer": "gated"})
    both = pd.concat([sweep.assign(**{"model.kwargs.layer": "plain"}), gated])
    assert [one.name for one in mixtures_of(select_rows(both, y="loss")[0])] == ["model.kwargs.layer"]


def test_results_folder_can_be_nested_and_moved(tmp_path, sweep):
    write_results(sweep, tmp_path, "paper/x")
    (tmp_path / "results").rename(tmp_path / "moved")
    assert len(load_table(tmp_path / "moved" / "paper" / "x")) == len(sweep)


def test_milestones_are_rows_and_the_whole_run_stands_beside(tmp_path):
    table = curves(World(), widths=(8, 16), milestones=4, seeds=1)
    read = load_table(write_results(table, tmp_path))
    assert len(read) == 8
    assert read["final"].sum() == 2
    assert (read["run_D"] == 262144).all()
    assert read["D"].min() == 262144 / 8
    np.testing.assert_allclose(read["C"], 6 * read["N"] * read["D"])


def test_runs_without_a_record_say_why(tmp_path, sweep):
    table = spoiled(sweep)
    read = load_table(write_results(table, tmp_path)).set_index("run_id")
    status = [read.loc[table.loc[i, "run_id"], "status"] for i in range(4)]
    assert status == ["diverged", "failed", "missing", "finished"]
    assert read.loc[table.loc[1, "run_id"], "reason"].startswith("out_of_memory: wanted 3 GB")
    assert np.isnan(read.loc[table.loc[1, "run_id"], "loss"])
    assert read.loc[table.loc[2, "run_id"], "N"] == table.loc[2, "N"]


@pytest.mark.parametrize("damage", ["half", "empty", "a list", "no points"])
def test_damaged_record_is_named_and_set_aside(tmp_path, sweep, caplog, damage):
    folder = write_results(sweep, tmp_path)
    path = folder.parent / "runs" / sweep.loc[0, "run_id"] / "record.json"
    text = path.read_text()
    record = json.loads(text)
    del record["points"]
    path.write_text(
        {"half": text[: len(text) // 2], "empty": "", "a list": "[]", "no points": json.dumps(record)}[damage]
    )
    with caplog.at_level(logging.WARNING):
        read = load_table(folder)
    assert sweep.loc[0, "run_id"] in caplog.text
    row = read[read["run_id"] == sweep.loc[0, "run_id"]].iloc[0]
    assert row["status"] == "missing"
    assert "damaged" in row["reason"]
    assert (read["status"] == "finished").sum() == len(sweep) - 1


def test_an_attempt_stopped_from_outside_is_no_failure(tmp_path, sweep):
    table = sweep.copy()
    table.loc[0, "status"] = "failed"
    folder = write_results(table, tmp_path)
    attempts = folder.parent / "runs" / table.loc[0, "run_id"] / "attempts.jsonl"
    attempts.write_text(attempts.read_text() + '{"cause": "preempted"}\n{"cause": "cra')
    assert load_table(folder).set_index("run_id").loc[table.loc[0, "run_id"], "status"] == "missing"


def test_run_ids_that_look_like_numbers_stay_words(tmp_path, sweep):
    table = sweep.copy()
    table.loc[0, "run_id"], table.loc[1, "run_id"] = "000012345678", "12345678e123"
    read = load_table(write_results(table, tmp_path))
    assert {"000012345678", "12345678e123"} <= set(read["run_id"])
    write_table(read, tmp_path / "t.csv")
    assert {"000012345678", "12345678e123"} <= set(load_table(tmp_path / "t.csv")["run_id"])


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_a_written_table_selects_the_same_rows(tmp_path, sweep, name):
    table = spoiled(load_table(write_results(sweep, tmp_path)))
    write_table(table, tmp_path / name)
    rows, left_out = select_rows(load_table(tmp_path / name), y="loss")
    wanted, why = select_rows(table, y="loss")
    np.testing.assert_allclose(rows["loss"], wanted["loss"])
    assert left_out == why


def test_left_out_runs_are_counted(sweep):
    rows, left_out = select_rows(spoiled(sweep), y="loss")
    assert len(rows) == len(sweep) - 4
    assert [text.split(" (")[0] for text in left_out] == [
        "1 run missing",
        "1 run failed",
        "1 run diverged",
        "1 run at chance",
    ]
    assert len(select_rows(spoiled(sweep), y="loss", keep=["at_chance"])[0]) == len(sweep) - 3


def test_foreign_table_is_used_whole():
    rows, left_out = select_rows(pd.DataFrame({"N": [1.0, 2, 3], "loss": ["3", "2", "1"]}), y="loss")
    assert len(rows) == 3
    assert left_out == []


def test_milestones_only_of_constant_rate_runs():
    table = curves(World(), widths=(8, 16), milestones=4, seeds=1)
    assert len(select_rows(table, y="loss")[0]) == 2
    assert len(select_rows(table, y="loss", rows="all")[0]) == 8
    for schedule in ("cosine", "wsd[decay=0.2]"):
        with pytest.raises(Refusal, match="decay"):
            select_rows(table.assign(schedule=schedule), y="loss", rows="all")
    mixed = table.copy()
    mixed.loc[mixed["width"] == 8, "schedule"] = "cosine"
    rows, left_out = select_rows(mixed, y="loss", rows="all", pool=["schedule"])
    assert len(rows) == 5
    assert left_out == ["3 milestones inside a decaying schedule"]


def test_batches_by_one_rule_are_of_one_recipe(sweep):
    """As rates are; without a rule, or by two of them, they are not."""
    batches = [32 * (1 + i % 2) for i in range(len(sweep))]
    by_rule = sweep.assign(batch=batches, batch_rule="32 * (1 + (C > 1e9))")
    rows, _ = select_rows(by_rule, y="loss")
    assert rows["batch"].tolist() == batches
    assert cells(rows, "loss")["batch"].isin(batches).all()
    rules = ["32"] * 10 + ["64"] * (len(sweep) - 10)
    for other in (sweep.assign(batch=batches), by_rule.assign(batch_rule=rules), by_rule.assign(batch_rule=None)):
        with pytest.raises(Refusal, match="batch: "):
            select_rows(other, y="loss")


def test_recipes_are_not_pooled_unless_named(sweep):
    other = sweep.assign(schedule="constant", lr_rule="3e-3", run_id=sweep["run_id"] + "x")
    both = pd.concat([sweep, other])
    with pytest.raises(Refusal, match=r"lr_rule: 0\.001, 3e-3; schedule: constant, cosine"):
        select_rows(both, y="loss")
    with pytest.raises(Refusal, match="lr_rule"):
        select_rows(both, y="loss", pool=["schedule"])
    assert len(select_rows(both, y="loss", pool=["schedule", "lr_rule"])[0]) == len(both)
    assert len(select_rows(both, y="loss", where="schedule == 'constant'")[0]) == len(sweep)
    with pytest.raises(UserError, match="colour"):
        select_rows(both, y="loss", pool=["colour"])


def test_the_arithmetic_of_a_row_is_the_one_computed(tmp_path, sweep):
    """A plan says auto; the records say what that was, and fits refuse to pool two of it."""
    folder = write_results(sweep.assign(precision="auto"), tmp_path)
    records = sorted(folder.parent.glob("runs/*/record.json"))
    for number, path in enumerate(records):
        record = json.loads(path.read_text())
        record["how"] = {"precision": "tf32" if number % 2 else "fp32"}
        path.write_text(json.dumps(record))
    read = load_table(folder)
    assert sorted(read["precision"].unique()) == ["fp32", "tf32"]
    with pytest.raises(Refusal, match=r"precision: fp32, tf32.*--pool precision"):
        select_rows(read, y="loss")
    assert len(select_rows(read, y="loss", pool=["precision"])[0]) == len(sweep)


def test_other_contents_of_a_data_set_are_told(tmp_path, sweep):
    folder = write_results(sweep, tmp_path)
    assert not remarks_of(select_rows(load_table(folder), y="loss")[0])
    for number, path in enumerate(sorted(folder.parent.glob("runs/*/record.json"))):
        record = json.loads(path.read_text())
        path.write_text(json.dumps({**record, "content": {"data": "later" if number else "first"}}))
    record.pop("content", None)
    path.write_text(json.dumps(record))
    [remark] = remarks_of(select_rows(load_table(folder), y="loss")[0])
    assert "read 2 different contents of it (later, first)" in remark
    rows, _ = select_rows(load_table(folder), y="loss", where="data_digest == 'first'")
    assert not remarks_of(rows)
    assert len(rows) == 1


def test_a_stage_s_row_has_the_arithmetic_of_its_training_run_too():
    columns = {
        "run_id": ["a", "b", "c", "d"],
        "origin": [None, "a", "a", "z"],
        "precision": ["tf32", "fp32", "tf32", "bf16"],
    }
    assert precisions(pd.DataFrame(columns)).tolist() == ["tf32", "tf32 > fp32", "tf32", "bf16"]


def test_one_task(sweep):
    both = pd.concat([sweep, sweep.assign(task="probe/cifar10")])
    with pytest.raises(UserError, match="2 tasks"):
        select_rows(both, y="loss")
    assert len(select_rows(both, y="loss", task="test")[0]) == len(sweep)
    with pytest.raises(UserError, match="no task 'other'"):
        select_rows(both, y="loss", task="other")


def test_bad_columns_are_named(sweep):
    with pytest.raises(UserError, match="no column 'perplexity'; the table has run_id"):
        select_rows(sweep, y="perplexity")
    with pytest.raises(UserError, match="column 'family' holds 'mlp'; wanted numbers"):
        select_rows(sweep, y="family")
    with pytest.raises(UserError, match="no row is left"):
        select_rows(sweep, y="loss", where="loss < 0")
    with pytest.raises(UserError, match=r"no row is left to fit loss \(12 runs failed\)"):
        select_rows(sweep.assign(status="failed"), y="loss")
    with pytest.raises(UserError, match="Model Size"):
        rename_columns(sweep, {"N": "Model Size"})


def test_columns_replace_and_derive():
    table = pd.DataFrame({"Model Size": [1e6, 2e6], "Training FLOP": [6e12, 24e12], "loss": [3.0, 2.0], "N": [0, 0]})
    table = rename_columns(table, {"N": "Model Size", "C": "Training FLOP"})
    table = derive_column(table, "D = C/(6*N)")
    np.testing.assert_allclose(table["D"], [1e6, 2e6])
    assert list(table.columns).count("N") == 1
    assert derive_column(table, "k = log10(C)")["k"].iloc[0] == pytest.approx(np.log10(6e12))
    swapped = rename_columns(table, {"N": "D", "D": "N"})
    np.testing.assert_allclose(swapped["D"], [1e6, 2e6])


def test_quoted_columns_in_expressions():
    table = pd.DataFrame({"Model Size": [1e6, 2e6], "kind": ["a", "b"]})
    assert derive_column(table, "N = `Model Size` * 2")["N"].tolist() == [2e6, 4e6]
    assert len(select_rows(table, y="Model Size", where="kind in ['a'] and `Model Size` < 3e6")[0]) == 1


@pytest.mark.parametrize(
    "expression",
    [
        "@pd.io.common.os.system('true')",
        "N.__class__",
        "N.to_csv('stolen.csv')",
        "__import__('os').system('true')",
        "[x for x in N]",
        "(lambda: 1)()",
        "N[0]",
        "9 ** 9 ** 9 ** 9",
        "exit()",
        "abs.__self__",
        "index + 1",
        "N +",
        "N = 3",
        "log(N, out=N)",
    ],
)
def test_expressions_cannot_reach_python(expression, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = pd.DataFrame({"N": [1.0, 2.0]})
    with pytest.raises(UserError):
        derive_column(table, f"x = {expression}")
    with pytest.raises(UserError):
        select_rows(table, y="N", where=expression)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["nothing.csv", "t.xlsx", "empty.csv", "folder", "broken.parquet", "broken.jsonl", "head.csv"]
)
def test_unreadable_tables_say_so(tmp_path, name):
    (tmp_path / "folder").mkdir()
    for file, text in {
        "t.xlsx": "x",
        "empty.csv": "",
        "broken.parquet": "x",
        "broken.jsonl": "{",
        "head.csv": "N,loss\n",
    }.items():
        (tmp_path / file).write_text(text)
    with pytest.raises(UserError) as error:
        load_table(tmp_path / name)
    assert "\n" not in str(error.value)


def test_grid_world_is_honest():
    world = World(noise=0.0)
    table = grid(world, (8, 64), (1024, 4096), seeds=1)
    np.testing.assert_allclose(table["loss"], world.loss(table["N"], table["D"]))


def test_a_former_name_means_the_column_as_it_was_before_it_is_derived_anew():
    table = pd.DataFrame({"size": [50.0, 200.0], "loss": [3.0, 2.5]})
    derived = derive_column(rename_columns(table, {"N": "size"}), "N = 1e6*N")
    assert rows_where(derived, "size > 100 and N > 1e8")["N"].tolist() == [2e8]
