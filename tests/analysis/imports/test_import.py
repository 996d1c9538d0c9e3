"""Tables and exports of others become a sweep of ours, or are refused by line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import fit, load_table
from analysis.errors import Refusal
from analysis.imports.source import read_source
from analysis.imports.wandb import find_runs, read_runs
from analysis.imports.wandb_log import flat, rows_of_log
from analysis.table.files.mappings import with_mappings_expanded
from analysis.table.read import concatenate
from analysis.table.select import select_rows
from scaling.dispatch.states.read_state import read_status
from scaling.folders import SweepFolder
from scaling.record import read_record

ROWS = [(N, D, 1.5 + 40 * N**-0.3 + 90 * D**-0.3) for N in (1000, 4000, 16000) for D in (20000, 80000, 320000)]
HEAD = "run,N,D,C,loss\n"


@pytest.fixture
def theirs(scaling) -> Path:
    """A table of nine runs, under names of its own."""
    table = pd.DataFrame(ROWS, columns=["Model Size", "D", "loss"]).assign(FLOP=lambda t: 6 * t["Model Size"] * t["D"])
    table.to_csv(scaling.folder / "theirs.csv", index=False)
    return scaling.folder / "theirs.csv"


def written(scaling, text: str, name: str = "t.csv") -> str:
    (scaling.folder / name).write_text(text)
    return name


def test_an_imported_table_fits_as_the_table_itself_does(theirs, scaling):
    said = scaling("import", "theirs.csv", "--as", "paper/theirs")
    assert "9 runs in results/paper/theirs" in said
    assert "N is taken from Model Size, C is taken from FLOP" in said
    imported = load_table(scaling.folder / "results" / "paper" / "theirs")
    assert set(imported["trained"]) == {"elsewhere: theirs.csv"}
    assert imported["final"].all()
    laws = [fit(table, law="power", x="D", resamples=0).params for table in (load_table(theirs), imported)]
    assert laws[0] == laws[1]


def test_its_records_are_whole_records_of_ours_that_say_where_they_come_from(theirs, scaling):
    scaling("import", "theirs.csv", "--as", "theirs")
    folder = SweepFolder(scaling.folder / "results", "theirs")
    status = read_status(folder)
    assert (status.settled, len(status.runs)) == (9, 9)
    assert "it was trained elsewhere" in scaling("logs", "results/theirs", status.runs[0].run_id)
    records = [read_record(folder.run(run.run_id)) for run in status.runs]
    assert sorted(record.how["line"] for record in records) == list(range(2, 11))
    assert {(record.how["trained"], record.how["table"]) for record in records} == {("elsewhere", "theirs.csv")}
    found = sorted((record.counts["N"], record.points[-1].D, record.points[-1].loss) for record in records)
    np.testing.assert_allclose(found, sorted(ROWS), rtol=1e-14)  # pandas 2 reads numbers to the last digit but one
    assert folder.results.stat().st_mode & 0o777 == 0o700


def test_the_same_import_changes_nothing_and_another_one_needs_another_name(theirs, scaling):
    scaling("import", "theirs.csv", "--as", "theirs")
    before = {path: path.read_bytes() for path in (scaling.folder / "results").rglob("*") if path.is_file()}
    assert "nothing was changed" in scaling("import", "theirs.csv", "--as", "theirs")
    for other in (["--where", "D > 20000"], ["--derive", "tokens = 2*D"]):
        assert "wanted a new name" in scaling("import", "theirs.csv", "--as", "theirs", *other, code=2)
    theirs.write_text(theirs.read_text().replace("1000,", "1001,"))
    assert "imported from theirs.csv with other content" in scaling("import", "theirs.csv", "--as", "theirs", code=2)
    after = {path: path.read_bytes() for path in (scaling.folder / "results").rglob("*") if path.is_file()}
    assert after == before


def test_an_import_that_was_cut_short_is_done_again(theirs, scaling):
    scaling("import", "theirs.csv", "--as", "theirs")
    results = scaling.folder / "results"
    record = next(results.glob("runs/*/record.json"))
    whole, plan = record.read_bytes(), (results / "theirs" / "plan.csv").read_bytes()
    record.unlink()
    (results / "theirs" / "plan.csv").unlink()
    assert "changed" not in scaling("import", "theirs.csv", "--as", "theirs")
    assert (record.read_bytes(), (results / "theirs" / "plan.csv").read_bytes()) == (whole, plan)


def test_ours_and_theirs_are_pooled_only_when_asked(theirs, scaling):
    scaling("import", "theirs.csv", "--as", "theirs")
    theirs = load_table(scaling.folder / "results" / "theirs")
    both = concatenate({"theirs": theirs, "ours": theirs.drop(columns="trained").assign(run_id=list("abcdefghi"))})
    with pytest.raises(Refusal, match=r"trained: elsewhere: theirs.csv, unset.*--pool trained"):
        select_rows(both, y="loss")
    assert len(select_rows(both, y="loss", pool=["trained"])[0]) == 18


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "N,D,C,loss\n1,2,12,3\n# a remark\n1,,12,3\n\n1,-2,12,3\n",
            "found lines 4 and 6 of t.csv without a positive D",
        ),
        ("N,D,C,loss\n1,2,12,3\n1,3,18,nan\n", "found line 3 of t.csv without a finite loss"),
        ('Notes,N,D,C,loss\n"two\nlines",1,2,12,3\nx,1,2,0,3\n', "found line 4 of t.csv without a positive C"),
        (HEAD + "a,1,2,12,3\na,1,2,12,4\n", "found lines 2 and 3 of t.csv at one D of run a"),
        (HEAD + "a,1,2,12,3\na,1,4,24,2\na,1,4,24,1\n", "found lines 3 and 4 of t.csv at one D of run a"),
        ("N,D,C,loss\n1,2,12,3\n2,2,24,3\n1,2,12,3\n", "found the same run on lines 2 and 4"),
        ("N,D,loss\n1,2,3\n", 'compute it, for a dense network by --derive "C = 6*N*D"'),
        ("N,D,C\n1,2,12\n", "found no column 'loss'"),
        ("N,D,C,loss,status\n1,2,12,3,running\n", "found no finished run in t.csv (1 row running)"),
    ],
)
def test_what_is_incomplete_or_contradicts_itself_is_refused_by_line(scaling, text, said):
    assert said in scaling("import", written(scaling, text), "--as", "t", code=2)
    assert not (scaling.folder / "results").exists()


def test_different_sizes_of_one_run_are_refused_where_the_column_is_named(scaling):
    name = written(scaling, HEAD + "a,1,2,12,3\na,2,4,48,2\n")
    assert "2 runs" in scaling("import", name, "--as", "each")
    said = scaling("import", name, "--as", "t", "--run-column", "run", code=2)
    assert "found lines 2 and 3 of t.csv with different N in run a" in said


def test_rows_of_one_run_are_its_milestones_with_all_that_moves(scaling):
    name = written(scaling, "name,N,D,C,loss,accuracy\nb,1,4,24,2,.5\nb,1,2,12,3,.25\nc,2,2,24,2.5,.75\n")
    assert "2 runs with 3 milestones (by the column name;" in scaling("import", name, "--as", "t")
    table = load_table(scaling.folder / "results" / "t")
    assert table[["overrides", "D", "loss", "accuracy", "final"]].to_numpy().tolist() == [
        ["run=b", 2, 3.0, 0.25, False],
        ["run=b", 4, 2.0, 0.5, True],
        ["run=c", 2, 2.5, 0.75, True],
    ]
    assert "3 runs" in scaling("import", name, "--as", "rows", "--run-column", "none")


def test_of_rows_that_differ_in_their_step_alone_the_last_is_the_run(scaling):
    name = written(scaling, "name,_step,N,D,C,loss\nb,9,1,4,24,2\nb,5,1,4,24,3\nc,9,2,2,24,2.5\n")
    said = scaling("import", name, "--as", "t")
    assert "2 runs in" in said
    assert "1 row before the end of a run, whose D is that of all of it" in said
    assert load_table(scaling.folder / "results" / "t")["loss"].tolist() == [2, 2.5]


def test_runs_that_did_not_end_are_left_out_and_counted_and_diverged_ones_stay(scaling):
    name = written(scaling, "N,D,C,loss,State\n1,2,12,3,finished\n1,3,18,,crashed\n1,4,24,,diverged\n")
    told = json.loads(scaling("import", name, "--as", "t", "--json", "-"))
    assert (told["runs"], told["left_out"]) == (2, ["1 row crashed"])
    assert set(load_table(scaling.folder / "results" / "t")["status"]) == {"finished", "diverged"}


def test_columns_that_mean_something_to_us_are_kept_under_another_name(scaling):
    name = written(scaling, "N,D,C,loss,parent,host,final\n1,2,12,3,x,box,yes\n1,3,18,2,y,box,no\n")
    scaling("import", name, "--as", "t")
    table = load_table(scaling.folder / "results" / "t")
    assert table["their_parent"].tolist() == ["x", "y"]
    assert "parent" not in table
    assert table["final"].tolist() == [True, True]


@pytest.mark.parametrize("name", ["runs", "../up", "/abs", "", "features/x"])
def test_a_name_outside_the_results_is_refused(theirs, scaling, name):
    assert "wanted the name of a folder inside the results" in scaling("import", "theirs.csv", "--as", name, code=2)


@pytest.mark.slow
def test_no_sweep_of_ours_is_planned_over_an_import(theirs, scaling):
    scaling("import", "theirs.csv", "--as", "theirs")
    assert "holds runs trained elsewhere" in scaling("run", "name=theirs", "model.width=8", "train.steps=1", code=2)


def test_an_import_that_was_killed_is_made_again(theirs, scaling):
    half = scaling.folder / "results" / "theirs" / ".import.json.4711"
    half.parent.mkdir(parents=True)
    half.write_text('{"tab')
    said = scaling("import", "theirs.csv", "--as", "theirs")
    assert "9 runs in results/theirs" in said
    assert said.splitlines()[-1] == "next: scaling report results/theirs"


def test_neither_a_sweep_nor_a_folder_of_something_else_is_imported(theirs, scaling):
    scaling("import", "theirs.csv", "--as", "theirs")
    assert "a sweep of ours" in scaling("import", "results/theirs", "--as", "t", code=2)
    (scaling.folder / "results" / "mine").mkdir()
    (scaling.folder / "results" / "mine" / "plan.csv").touch()
    assert "which was not imported" in scaling("import", "theirs.csv", "--as", "mine", code=2)
    (scaling.folder / "empty").mkdir()
    assert "found no W&B run" in scaling("import", "empty", "--as", "t", code=2)


def test_json_and_the_csv_of_wandb_s_own_script_are_read(scaling):
    runs = [
        {"name": "a", "config": {"n_params": 10}, "summary": {"tokens": 20, "flops": 1200, "val": {"loss": 3.0}}},
        {"name": "b", "config": {"n_params": 10}, "summary": {"tokens": 40, "flops": 2400, "val": {"loss": 2.0}}},
    ]
    (scaling.folder / "runs.json").write_text(json.dumps(runs))
    frame = pd.DataFrame({key: [run[key] for run in runs] for key in ("summary", "config", "name")})
    frame.loc[0, "summary"]["best"] = float("nan")
    frame.to_csv(scaling.folder / "project.csv")
    for file in ("runs.json", "project.csv"):
        scaling("import", file, "--as", file)
        table = load_table(scaling.folder / "results" / file)
        assert table[["N", "D", "C", "loss"]].to_numpy().tolist() == [[10, 20, 1200, 3.0], [10, 40, 2400, 2.0]]
        assert table["overrides"].tolist() == ["run=a", "run=b"]


def test_words_that_look_like_mappings_and_are_none_stay_words():
    table = pd.DataFrame({"config": ["{a}", "{'b': 1}"]})
    assert with_mappings_expanded(table).equals(table)


def wandb_run(folder: Path, name: str, *, history: str = "", **summary) -> None:
    """Write the files that W&B keeps of a run that was online."""
    files = folder / f"run-20260101_120000-{name}" / "files"
    files.mkdir(parents=True)
    (files / "config.yaml").write_text(
        "wandb_version: 1\n_wandb: {desc: null, value: {cli_version: 0.12}}\n"
        "n_params: {desc: null, value: 5000}\noptim: {desc: null, value: {lr: 0.1, betas: [0.9, 0.95]}}\n"
    )
    (files / "wandb-summary.json").write_text(json.dumps(summary))
    if history:
        (files / "wandb-history.jsonl").write_text(history)


def test_a_folder_of_wandb_runs_is_read_by_run(scaling):
    lines = ({"_step": 1, "tokens": 10, "flops": 300}, {"_step": 2, "tokens": 20, "flops": 600, "val/loss": 3.5})
    wandb_run(scaling.folder / "wandb", "aaaa", **{"tokens": 100, "flops": 3e6, "val/loss": 3.0})
    wandb_run(scaling.folder / "wandb", "bbbb", history="\n".join(map(json.dumps, lines)))
    table = read_runs(find_runs(scaling.folder / "wandb"))
    assert table["config.optim.lr"].tolist() == [0.1] * 3
    assert "config._wandb.cli_version" not in table
    said = scaling("import", "wandb", "--as", "w")
    assert "left out: 1 row without a loss, as W&B keeps them" in said
    table = load_table(scaling.folder / "results" / "w")
    assert table[["overrides", "N", "D", "C", "loss"]].to_numpy().tolist() == [
        ["run=aaaa", 5000, 100, 3e6, 3.0],
        ["run=bbbb", 5000, 20, 600, 3.5],
    ]
    assert "nothing was changed" in scaling("import", "wandb", "--as", "w")


def test_a_config_whose_aliases_stand_for_billions_of_values_is_refused(scaling):
    wandb_run(scaling.folder / "wandb", "aaaa", tokens=1)
    [config] = scaling.folder.rglob("config.yaml")
    bomb = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 20))]
    config.write_text("\n".join(bomb))
    assert "it holds an alias" in scaling("import", "wandb", "--as", "w", code=2)


def test_what_others_wrote_does_not_steer_the_terminal(scaling):
    name = written(scaling, "params\x1b[2J,D,C,loss,status\n1,2,12,3,\x1b[2Jok\n2,2,24,2,running\n")
    said = scaling("import", name, "--as", "t", "--columns", "N=params\x1b[2J")
    assert "\x1b" not in said + scaling("status", "results/t", "--all")


def test_nested_keys_are_written_in_one():
    assert flat({"a": {"b": {"c": 1}}, "d": [1, 2]}, "config") == {"config.a.b.c": 1, "config.d": "[1, 2]"}


def test_rows_are_named_by_their_lines(tmp_path):
    (tmp_path / "t.csv").write_text("# made by hand\nN;loss\n\n1;2\n# more\n3;4\n;\n5;6\n")
    source = read_source(tmp_path / "t.csv")
    assert (source.lines, source.places([0, 2])) == ((4, 6, 8), "lines 4 and 8")
    (tmp_path / "t.jsonl").write_text('{"N": 1}\n\n{"N": 2}\n')
    assert read_source(tmp_path / "t.jsonl").lines == (1, 3)
    (tmp_path / "t.json").write_text('[{"N": 1}, {"N": 2}]')
    assert read_source(tmp_path / "t.json").places([1]) == "row 2"


@pytest.mark.slow
def test_an_offline_run_of_wandb_is_read_from_its_own_file(tmp_path):
    wandb = pytest.importorskip("wandb", reason="wants wandb (extra wandb)")
    settings = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False, x_disable_stats=True)
    config = {"n_params": 1000, "optim": {"lr": 0.1}}
    with wandb.init(id="abcd", dir=str(tmp_path), mode="offline", config=config, settings=settings) as run:
        for step in range(1, 4):
            run.log({"tokens": 100 * step, "val/loss": 3.0 / step}, step=step)
    wandb.teardown()  # which writes what its process still holds
    [log] = tmp_path.rglob("*.wandb")
    rows = rows_of_log(log)
    assert [(row["tokens"], row["val/loss"]) for row in rows] == [(100, 3.0), (200, 1.5), (300, 1.0)]
    assert {(row["State"], row["config.n_params"], row["config.optim.lr"]) for row in rows} == {("finished", 1000, 0.1)}
    assert [run.name for run in find_runs(tmp_path)] == ["abcd"]


@pytest.mark.slow
def test_what_we_export_to_wandb_comes_back_as_it_was(theirs, scaling):
    pytest.importorskip("wandb", reason="wants wandb (extra wandb)")
    pd.read_csv(theirs).assign(step=1).to_csv(theirs, index=False)
    scaling("import", "theirs.csv", "--as", "theirs")
    scaling.outside("export", "results/theirs", "--to", "wandb", "-o", "exported")
    scaling("import", "exported", "--as", "back", "--columns", "N=config.N")
    columns = ["N", "D", "C", "loss"]
    ours, back = (load_table(scaling.folder / "results" / name)[columns] for name in ("theirs", "back"))
    assert sorted(map(tuple, back.to_numpy())) == sorted(map(tuple, ours.to_numpy()))
