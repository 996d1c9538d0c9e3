"""Other people's tables: what their columns stand for, which runs their rows are of, which of them ended."""

from __future__ import annotations

import gzip
import json
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from analysis import fit, verbs
from analysis.errors import Refusal, UserError
from analysis.estimates.compared_groups import two_of
from analysis.estimates.frontier import frontier
from analysis.estimates.isoflop import isoflop
from analysis.estimates.tuning.trials import trial_rows
from analysis.table.columns import as_numbers, numbers_of, require_columns
from analysis.table.expressions import evaluate, mask
from analysis.table.mixtures import mixtures_of
from analysis.table.read import derive_column, load_table
from analysis.table.recognise.roles import role_of
from analysis.table.recognise.units import doubtful_units
from analysis.table.remarks import remarks_of
from analysis.table.repeats import without_repeats
from analysis.table.select import rows_where, select_rows

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
        ("Compute (EFLOPs)", "C", 1e18),
        ("train_zflops", "C", 1e21),
        ("petaflop/s-days", "C", 8.64e19),
        ("Training compute (PF-days)", "C", 8.64e19),
        ("compute (1e18 FLOP)", "C", 1e18),
        ("val/loss", "loss", 1),
        ("summary.val/loss", "loss", 1),
        ("Loss", "loss", 1),
        ("d_model", "width", 1),
        ("params/M", "N", 1e6),
        ("# tokens (billions)", "D", 1e9),
        ("D\n(tokens)", "D", 1),
        ("Ｎ", "N", 1),
        ("config.model.n_params", "N", 1),
        ("parameters/n_params", "N", 1),
        ("user_attrs_tokens", "D", 1),
        ("params_n_layers", "depth", 1),
        ("summary.val.loss", "loss", 1),
        ("metrics.loss", "loss", 1),
        ("test loss (nats/token)", "loss", 1),
        ("loss ↓", "loss", 1),
        ("FLOPs / 1e18", "C", 1e18),
        ("FLOPs (10¹⁸)", "C", 1e18),
        ("val loss [bits/byte]", "loss", np.log(2)),
        ("val_loss_bits", "loss", np.log(2)),
        ("Test error (%)", "error", 0.01),
        ("val_error_pct", "error", 0.01),
    ],
)
def test_columns_are_known_by_the_names_that_others_give_them(column, role, factor):
    found = role_of(column)
    assert (found.name, found.factor) == (role, pytest.approx(factor))


@pytest.mark.parametrize(
    "column",
    [
        "n",
        "d",
        "train/loss",
        "params_active_precise",
        "steps",
        "size",
        "name",
        "lr",
        "N_total",
        "train.loss",
        "loss_B",
        "log10 N",
        "throughput_tflops",
        "TFLOP/s",
        "N_p",
        "D_t",
        "tokens_percent",
        "tokens (7B)",
        "loss (%)",
        "bpb",
    ],
)
def test_what_may_mean_something_else_is_left_alone(column):
    assert role_of(column) is None


def test_what_a_column_was_taken_for_is_said():
    table = TABLE.rename(columns={"N": "params", "D": "tokens_B", "loss": "val_loss"})
    rows, _, said = selected(table.assign(tokens_B=table["tokens_B"] / 1e9))
    np.testing.assert_allclose(rows[["N", "D", "loss"]], TABLE)
    assert "N is taken from params, D is taken from tokens_B x 1e+09, loss is taken from val_loss" in said
    with pytest.raises(UserError, match="val_loss, test_loss may be meant: choose one with --columns loss=val_loss"):
        selected(TABLE.drop(columns="loss").assign(val_loss=1.0, test_loss=1.0))
    with pytest.raises(UserError, match=r"--derive 'error = 1 - `Top-1 acc`' --y error"):
        selected(TABLE.drop(columns="loss").rename_axis(index=None).assign(**{"Top-1 acc": 0.5}))


@pytest.mark.parametrize(
    ("columns", "missing", "said"),
    [
        (
            {"loss_c4": 1.0, "loss_code": 1.0},
            "loss",
            "loss_c4, loss_code may be meant: choose one with --columns loss=",
        ),
        ({"val/loss (MIN)": 1.0, "train/loss": 1.0}, "loss", "val/loss (MIN), train/loss may be meant"),
        ({"ppl": 20.0}, "loss", '--derive "loss = log(ppl)"'),
        ({"log_likelihood": -3.0}, "loss", '--derive "loss = -log_likelihood"'),
        ({"log10_N": 7.0}, "N", '--derive "N = 10**log10_N"'),
        ({"ln(D)": 20.0}, "D", "--derive 'D = exp(`ln(D)`)'"),
        ({"log N": 18.4}, "N", "--derive 'N = exp(`log N`)'"),
        ({"N_nonembed": 1.0}, "N", "--columns N=N_nonembed"),
        ({"sequences": 1.0}, "D", "--columns D=sequences"),
        ({"params": 1e9, "D/N": 20.0}, "D", "--derive 'D = `D/N` * N'"),
        ({"steps": 9.0, "batch_size": 8, "seq_len": 4}, "D", '--derive "D = steps * batch_size * seq_len"'),
        ({"step": 9.0, "tokens_per_batch": 8, "seq_len": 4}, "D", '--derive "D = step * tokens_per_batch"'),
        ({"epochs": 2.0, "dataset_size": 1e6}, "D", '--derive "D = epochs * dataset_size"'),
        ({"params": 1e9, "tokens-to-params ratio": 20.0}, "D", "--derive 'D = `tokens-to-params ratio` * N'"),
        ({"log_loss": 3.0}, "loss", "--columns loss=log_loss"),  # cross-entropy, as scikit-learn calls it
        ({"neg. log likelihood": 3.0}, "loss", '--columns loss="neg. log likelihood"'),
        ({"metric": "val_loss", "value": 3.0}, "loss", "--columns loss=value --where \"metric == 'val_loss'\""),
        ({"N": 1e6, "4e8 tokens": 3.0, "8e8 tokens": 2.9, "2B tokens": 2.8}, "D", "2B tokens may be values of D: make"),
        ({"N": 1e6, "loss@4e8 tokens": 3.0, "loss@8e8 tokens": 2.9, "loss@2e9 tokens": 2.8}, "D", "may be values of D"),
        ({"N": 1e6, "1B": 3.0, "2B": 2.9, "4B": 2.8}, "D", "1B, 2B, 4B may be values of D: make one row for each"),
        (
            {"N": 1e6, "D=1e8": 3.0, "D=2e8": 2.9, "D=4e8": 2.8},
            "D",
            "D=1e8, D=2e8, D=4e8 may be values of D: make one row",
        ),
        (
            {"N": 1e6, "loss_D1B": 3.0, "loss_D2B": 2.9, "loss_D4B": 2.8},
            "D",
            "loss_D4B may be values of D: make one row",
        ),
        ({"N": ["D", "loss"], "1e6": [1e8, 3.0]}, "D", "the rows of N are its columns: turn the table round"),
        ({"variable": ["N", "D", "loss"] * 2, "value": 1.0}, "N", "make one column for each of them (pivot of pandas)"),
        (
            {"run": ["9_1e456", "ab_1e500"], "loss_1e400": 1.0},
            "N",
            "name it with --columns, or compute it with --derive",
        ),
        ({"muP": ["Y", "N"], "d": 1.0}, "N", "name it with --columns, or compute it with --derive"),
        ({"WER (%)": 20.0, "std_err": 0.1, "error_message": "none"}, "loss", 'take --y "WER (%)"'),
        (
            {"imagenet zero-shot top-1": 0.7, "grad_acc": 8},
            "loss",
            "'error = 1 - `imagenet zero-shot top-1`' --y error",
        ),
        ({"loss_s0": 3.0, "loss_s1": 3.0}, "loss", 'or take their mean by --derive "loss = (loss_s0 + loss_s1) / 2"'),
    ],
)
def test_a_missing_column_is_proposed_from_those_that_are_there(columns, missing, said):
    table = load_table(pd.DataFrame(columns, index=range(max(map(np.size, columns.values())))))
    with pytest.raises(UserError) as error:
        require_columns(table, [missing])
    assert said in str(error.value)


@pytest.mark.parametrize("names", [["mean"], ["Mean", "SD", "Min"], ["Total"]])
def test_last_rows_that_summarise_those_above_are_no_runs(names):
    runs = pd.DataFrame({"run": list("abcde"), "N": [1e6, 2e6, 4e6, 8e6, 16e6], "loss": [3.5, 3.2, 3.0, 2.9, 2.8]})
    kinds = {"mean": "mean", "Mean": "mean", "SD": "std", "Min": "min", "Total": "sum"}
    last = pd.DataFrame([{"run": name, **runs[["N", "loss"]].agg(kinds[name]).round(3)} for name in names])
    read = load_table(pd.concat([runs, last]))
    assert read["run"].tolist() == list("abcde")
    (said,) = remarks_of(read)
    assert said.startswith("left out: the last ")
    largest = runs.iloc[[0, 1, 2, 3, 4]].assign(run="f", N=32e6, loss=2.75).tail(1)
    assert len(load_table(pd.concat([runs, largest]))) == 6


def test_a_run_of_mean_loss_is_kept():
    runs = pd.DataFrame({"params": ["70M", "160M", "410M", "1B", "2.8B"], "loss": [3.0, 2.8, 2.6, 2.4, 2.2]})
    runs = runs.assign(acc=1 - runs["loss"] / 4, name=list("abcde"))
    last = {"params": "395M", "loss": 2.601, "acc": 0.35}
    assert len(load_table(pd.concat([runs, pd.DataFrame([{**last, "name": "f"}])]))) == 6
    assert len(load_table(pd.concat([runs.assign(name="gpt"), pd.DataFrame([{**last, "name": "gpt"}])]))) == 6
    assert len(load_table(pd.concat([runs, pd.DataFrame([{**last, "name": "Mean"}])]))) == 5


def test_columns_of_any_kind_have_no_last_row_of_means():
    odd = {"N": [1e308] * 6, "loss": [3, np.inf, -np.inf, 2, np.nan, 1.0], "z": [1j] * 6, "ok": [True] * 6}
    times = {"took": pd.to_timedelta([1] * 6, unit="s"), "ended": pd.date_range("2024", periods=6)}
    assert len(load_table(pd.DataFrame({**odd, **times}))) == 6


@pytest.mark.parametrize(
    "flag",
    [
        *({"exclude": [0, 0, 1]}, {"use": ["yes", "yes", "no"]}, {"is_outlier": [False, False, True]}),
        {"config.is_outlier": [False, False, True]},
    ],
)
def test_rows_that_people_exclude_are_left_out(flag):
    rows, left_out, _ = selected(TABLE.assign(**flag))
    assert len(rows) == 2
    assert left_out == ["1 run excluded"]
    assert len(selected(TABLE.assign(**flag), keep=["excluded"])[0]) == 3


def test_skip_connections_are_no_reason_to_leave_a_run_out():
    assert len(selected(TABLE.assign(has_skip=[True, True, False]))[0]) == 3


@pytest.mark.parametrize("index", [True, False])
def test_what_pandas_prints_is_read(tmp_path, index):
    table = TABLE.assign(D=[1e8, 2.5e11, 4e8])
    (tmp_path / "t.txt").write_text(table.to_string(index=index))
    assert load_table(tmp_path / "t.txt").to_numpy() == pytest.approx(table.to_numpy())


def test_arrays_of_one_number_are_numbers():
    read = load_table(TABLE.assign(loss=pd.Series([np.array(value) for value in TABLE["loss"]], dtype=object)))
    assert numbers_of(read["loss"], "loss").tolist() == TABLE["loss"].tolist()


def test_learning_curves_without_a_name_are_asked_for():
    curves = pd.concat([TABLE.assign(N=1e6, step=[1, 2, 4]), TABLE.assign(N=3e6, step=[1, 2, 4])], ignore_index=True)
    assert "rows that share N have rising D" in selected(curves)[2]
    assert "rows that share N" not in selected(curves.rename(columns={"step": "steps"}))[2]
    assert "rows that share N" not in selected(curves.assign(Name=list("abcdef")))[2]
    assert "rows that share N" not in selected(curves.drop(columns="step").assign(epoch=1))[2]


def test_an_error_above_one_is_asked_to_be_in_per_cent():
    assert '--derive "error = error / 100"' in selected(TABLE.assign(error=[62.0, 50.0, 41.0]), y="error")[2]


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
        ("3e8 tokens", 3e8),
        ("0.2B tokens", 2e8),
        ("10 million", 1e7),
        ("3x10^8", 3e8),
        ("3×10⁸", 3e8),
        ("6.0 × 10−4", 6e-4),
        ("2^20", 2**20),
        ("10'000'000", 1e7),
        ("10 000 000", 1e7),
        ("10\u202f000", 1e4),
        ("1.234.567", 1234567),
        ("5,3326", 5.3326),
        ("2.41 ± 0.02", 2.41),
        ("2.41 (0.02)", 2.41),
        ("300 EFLOPs", 3e20),
        ("2 PF-days", 2 * 8.64e19),
        ("3,640 petaflop/s-days", 3640 * 8.64e19),
        ("1.2e21 FLOP", 1.2e21),
        ("10 exaFLOPs", 1e19),
        ("$1.2 \\times 10^{21}$", 1.2e21),
        ("2.41 nats/token", 2.41),
        ("2.41 [2.39, 2.43]", 2.41),
        ("1.4T tokens", 1.4e12),
        ("**2.41**", 2.41),
    ],
)
def test_numbers_are_read_as_people_write_them(written, number):
    column = pd.Series([written, "2", None, "n/a"])
    np.testing.assert_allclose(numbers_of(column, "N"), [number, 2, np.nan, np.nan])
    rows, _, said = selected(TABLE.assign(N=["1.3B", "2.7B", "6.7B"]))
    assert rows["N"].tolist() == [1.3e9, 2.7e9, 6.7e9]
    assert "N holds words such as '1.3B', read as 1.3e+09" in said


@pytest.mark.parametrize("mark", ["*", "†", " [a]", "[12]", "^b", " ‡"])
def test_marks_of_footnotes_are_read_over_and_said_in_one_line(mark):
    rows, _, said = selected(TABLE.assign(loss=["3.25", f"3.0{mark}", f"2.75{mark}"]))
    assert rows["loss"].tolist() == [3.25, 3.0, 2.75]
    assert said == f"loss has 2 numbers with a mark ({mark.strip()}), read without it"


def test_a_unit_in_a_name_is_that_of_numbers_without_one():
    name = "Params (B)"
    rows, *_ = selected(TABLE.drop(columns="N").assign(**{name: ["1,000", "2*", "4"]}))
    assert rows["N"].tolist() == [1e12, 2e9, 4e9]
    assert "N" not in load_table(TABLE.drop(columns="N").assign(**{name: ["1B", "2B", "4B"]}))


def test_points_that_set_thousands_apart_do_so_in_the_whole_column():
    np.testing.assert_allclose(
        numbers_of(pd.Series(["250.000", "1.000.000", "2.500.000,5"]), "N"), [250e3, 1e6, 2500000.5]
    )
    np.testing.assert_allclose(numbers_of(pd.Series(["250.125", "1.5"]), "N"), [250.125, 1.5])


@pytest.mark.parametrize(
    ("words", "numbers"),
    [
        (["3,250", "3,125", "2,875"], [3.25, 3.125, 2.875]),
        (["0,453", "0,125"], [0.453, 0.125]),
        (["1,234e+20", "2,345e+21"], [1.234e20, 2.345e21]),
        (["760", "1,300", "2,700"], [760, 1300, 2700]),
        (["760M", "1,300M", "2,700M"], [760e6, 1300e6, 2700e6]),
        (["1,250", "10,000"], [1250, 10000]),
    ],
)
def test_commas_before_three_digits_are_of_thousands_or_decimal_as_the_column_shows(words, numbers):
    np.testing.assert_allclose(numbers_of(pd.Series(words), "loss"), numbers)


@pytest.mark.parametrize(
    ("name", "words", "numbers"),
    [
        ("width", ["1,024", "2,048", "4,096"], [1024, 2048, 4096]),
        ("loss", ["3,250", "3,000", "2,875"], [3.25, 3, 2.875]),
        ("loss", ["1,250", "10,500"], [1250, 10500]),
    ],
)
def test_commas_in_a_width_are_of_thousands_and_those_in_a_loss_of_three_are_decimal(name, words, numbers):
    np.testing.assert_allclose(numbers_of(pd.Series(words, name=name), name), numbers)


@pytest.mark.parametrize("word", ["diverged", "OOM", "#DIV/0!", "TBD", "?", "running", "DNF"])
def test_words_for_no_loss_leave_their_row_out(word):
    rows, left_out, said = selected(TABLE.assign(loss=["3.25", word, "2.75"]))
    assert rows["loss"].tolist() == [3.25, 2.75]
    assert left_out == ["1 row without a finite loss"]
    assert word == "?" or f"loss holds {word}, read as nothing" in said


def test_rows_with_other_words_can_be_left_out_by_a_condition():
    table = TABLE.assign(N=["1e6", "mean", "4e6"], lr=["0.1", "none", "0.3"])
    with pytest.raises(UserError, match=r"'N' holds 'mean' in 1 of 3 rows; wanted numbers.*--where \"N > 0\""):
        selected(table)
    assert selected(table, where="N > 0")[0]["N"].tolist() == [1e6, 4e6]
    assert len(selected(table, where="N > 0 and lr > 0.2")[0]) == 1


@pytest.mark.parametrize("bad", ["about 3", "1.3X", "1,23,4", "1B2", "1 2 3", "300 TFLOP/s", "3.2 (best)"])
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
        ("phase", "done", "training"),
        ("exit code", 0, 137),
        ("ExitCode", "0:0", "1:0"),
        ("train_status", "finished", "stalled"),
        ("Job status", "succeeded", "Evicted"),
        ("status", "finished", "diverging"),
        ("status", "finished", "failed (oom)"),
        ("status", "finished", "killed by user"),
        ("result", "success", "fail"),
        ("is_done", True, False),
        ("oom", "N", "Y"),
        ("success", 1.0, 0.0),
        ("error_message", None, "CUDA out of memory"),
        ("end_time", "2026-01-02", None),
        ("finished", "2026-01-02", None),
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
    _, _, said = selected(TABLE.assign(status=[1, 0, 1], notes=["", "crashed at step 3000", ""]))
    assert "the column status holds 1, 0, known neither as finished" in said
    assert "notes says 'crashed at step 3000' of 1 row used" in said
    assert len(selected(TABLE.assign(phase=["train", "val", "test"], result=[1, 2, 3]))[0]) == 3


def test_a_run_that_one_of_several_columns_calls_unfinished_is_left_out():
    table = TABLE.assign(State="finished", outcome=["ok", "diverged", "ok"], oom=[False, False, True])
    rows, left_out, _ = selected(table)
    assert rows["loss"].tolist() == [3.25]
    assert sorted(left_out) == ["1 run diverged", "1 run out of memory"]


def test_a_run_called_finished_needs_no_time_of_its_end():
    """As those trained elsewhere beside ours, in one table."""
    ended = ["2026-01-02", None, "2026-01-03"]
    for table in (TABLE.assign(status="finished", ended_at=ended), TABLE.assign(ended_at=ended, status="finished")):
        assert len(selected(table)[0]) == 3
    assert len(selected(TABLE.assign(status=["finished", "", "finished"], ended_at=ended))[0]) == 2
    assert len(selected(TABLE.assign(status=["finished", "running", "finished"], ended_at=ended))[0]) == 2
    assert len(selected(TABLE.assign(crashed=False, ended_at=ended))[0]) == 2


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


@pytest.mark.parametrize("column", ["run_name", "Model kind"])
def test_runs_of_one_name_and_several_seeds_are_several(column):
    seeds = pd.concat([curves(column).assign(seed=seed) for seed in (0, 1)])
    assert selected(seeds, run_column=column)[0]["run_id"].nunique() == 6
    said = "by the columns run_name and seed" if column == "run_name" else "share Model kind and seed"
    assert said in selected(seeds)[2]
    assert "seed" not in selected(curves(column).assign(seed=[0] * 4 + [1] * 4 + [2] * 4))[2]


def test_a_condition_that_leaves_one_run_leaves_its_rows_one_run():
    rows, _, said = selected(curves("run_name"), where='run_name == "a"')
    assert rows["run_id"].nunique() == 1
    assert "4 rows are milestones of 1 run, by the column run_name" in said


@pytest.mark.parametrize("text", ["gpt-{N:.0f}/step{i}000", "checkpoint-{i}", "step{i}-tokens4B"])
def test_names_that_hold_a_step_are_of_points_of_a_curve(text):
    table = curves("a").drop(columns="a")
    names = [text.format(N=N, i=i % 4) for i, N in enumerate(table["N"])]
    assert "rows that share N have rising D" in selected(table.assign(name=names))[2]
    assert "run-column" not in selected(table.assign(name=[f"steps{i}" for i in range(12)]))[2]


@pytest.mark.parametrize("step", ["step", "_step", "trainer/global_step", "epoch"])
def test_of_a_run_with_the_same_d_at_every_step_the_last_loss_counts(step):
    whole = curves("run").assign(D=1e9, **{step: np.tile([1, 2, 3, 4], 3)}).sample(frac=1, random_state=0)
    rows, left_out, _ = selected(whole)
    assert rows.sort_values("N")["loss"].tolist() == whole[whole[step] == 4].sort_values("N")["loss"].tolist()
    assert left_out == ["9 rows before the end of a run, whose D is that of all of it"]
    beside_a_constant = pd.concat([pd.Series(1, whole.index, name="iter"), whole], axis=1)
    assert len(selected(beside_a_constant)[0]) == 3
    for how in ({"rows": "all"}, {"run_column": "none"}, {"along": (step,)}):
        assert len(selected(whole, **how)[0]) == 12
    lengths = whole.drop(columns="D").rename(columns={step: "epochs"})  # three runs of each size
    assert len(selected(lengths)[0]) == 12


def test_two_groups_are_named_as_people_write_their_values(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("N,D,loss,lr,kind,on\n1e6,1e8,3,1e-3,a ,yes\n2e6,1e8,2,0.02,b,\n4e6,1e8,1,0.02, b ,No\n")
    table = load_table(path)
    for by, values in (("lr", ("0.001", "2e-2")), ("kind", ()), ("on", ("YES", "no"))):
        assert [len(rows) for rows in two_of(table, by, values).values()] == ([1, 1] if by == "on" else [1, 2])
    for by, wrong in (("kind", "c"), ("lr", "nan")):
        with pytest.raises(UserError, match=f"found {wrong} as the values"):
            two_of(table, by, (wrong, str(table[by][0])))
    large = pd.DataFrame({"batch": [1048576, 1048577]})
    assert [group["batch"][0] for group in two_of(large, "batch", ("1048576.0", "1048577.0")).values()] == [
        1048576,
        1048577,
    ]
    first, _ = two_of(table, "on", ()).values()
    assert remarks_of(first) == ("in neither group: 1 row without a value of on",)
    with_one = two_of(table.assign(augment=[None, "mixup", None]), "augment", ())
    assert {name: len(rows) for name, rows in with_one.items()} == {"no augment": 2, "mixup": 1}


def test_versions_that_look_like_numbers_are_labels(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("N,D,loss,data_version,code version\n1e6,1e8,3,1.1,1\n2e6,1e8,2,1.10,2\n4e6,1e8,1,1.9,3\n")
    table = load_table(path)
    assert table["data_version"].tolist() == ["1.1", "1.10", "1.9"]
    assert table["code version"].tolist() == [1, 2, 3]


@pytest.mark.parametrize("first", ["1e6,1e8,", "70B,1.4T,", "70M,1B,3 nats"])
def test_a_first_run_with_units_is_no_row_of_units(tmp_path, first):
    path = tmp_path / "t.csv"
    path.write_text(f"N,D,loss\n{first}\n1e7,1e8,3.1\n1e7,1e9,2.9\n")
    table = load_table(path)
    assert (len(table), table["N"][1]) == (3, 1e7)


def test_tries_are_read_as_people_write_them():
    table = TABLE.assign(lr=["1e-3*", "n/a", "2e-3"], val_loss=[3.0, 2.9, 2.8])
    _, rows = trial_rows(table, ["lr"])
    assert rows["lr"].tolist() == [1e-3, 2e-3]
    assert "1 row without lr left out" in remarks_of(rows)


@pytest.mark.parametrize(
    ("name", "values", "other"),
    [
        ("budget", ["small", "large", "large"], "budget_in_words"),
        ("budget", [0, 1, 2], "budget_in_words"),
        ("epochs", ["1", "two", "3"], "epochs_in_words"),
        ("loss_se", ["n/a", "tiny", 0.1], "loss_se_in_words"),
        ("error", ["", "OOM at step 3", ""], "error_message"),
    ],
)
def test_a_column_with_a_name_of_ours_that_is_none_of_ours_gets_another(name, values, other):
    table = load_table(TABLE.assign(**{name: values}))
    assert name not in table.columns
    assert f"the column {name} holds" in "".join(remarks_of(table))
    assert other in table.columns
    _, left_out, _ = selected(table, where=f"{name} != 'nothing'")
    assert left_out == (["1 run failed"] if name == "error" else [])
    read = load_table(TABLE.assign(budget=["1e18 FLOP", "2 EFLOPs", "3"]))
    assert read["budget"].tolist() == [1e18, 2e18, 3]
    assert "budget holds words such as '1e18 FLOP', read as 1e+18" in remarks_of(read)


def test_errors_of_which_one_is_a_word_are_refused_where_used_and_left_out_on_request():
    table = TABLE.assign(error=["45 %", "see note", "41 %"])
    with pytest.raises(UserError, match="'error' holds 'see note' in 1 of 3 rows"):
        selected(table, y="error")
    assert selected(table, y="error", where="error > 0")[0]["error"].tolist() == pytest.approx([0.45, 0.41])
    assert len(selected(table)[0]) == 3


def test_runs_without_a_name_are_their_own_and_a_setting_that_is_not_given_is_one():
    table = pd.concat([TABLE] * 4, ignore_index=True).assign(run_id=[1, None, "x", np.nan] * 3, lr=[0.1, np.nan] * 6)
    rows, *_ = selected(table)
    assert rows["run_id"].nunique() == 2 + 6
    (mixture,) = mixtures_of(rows)
    assert mixture.values == ("0.1", "nothing")
    assert mixture.code.tolist() == [0, 1] * 6


def test_numbers_in_words_are_read_at_once_and_rows_of_other_words_left_out_by_every_verb():
    table = TABLE.assign(C=["1 EFLOP", "2 EFLOPs", "4e18"], loss=["3.25*", "3.0", "2.75"])
    assert load_table(table)["C"].tolist() == [1e18, 2e18, 4e18]
    assert load_table(table)["loss"].tolist() == [3.25, 3.0, 2.75]
    odd = load_table(table.assign(N=["1e6", "mean", "4e6"], loss=["3.25", "3.0", "bad one"]))
    assert rows_where(odd, "N > 0 and loss > 0")["N"].tolist() == ["1e6"]


def test_a_size_in_words_names_no_run():
    table = pd.DataFrame({"params": ["1B", "1B", "2B", "2B"], "D": [1e9, 2e9, 1e9, 2e9], "loss": [3.0, 2.9, 2.8, 2.7]})
    assert "run-column" not in selected(table)[2]
    assert "run-column" in selected(table.assign(N=[1e9, 1e9, 2e9, 2e9]))[2]


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
        ({"N": 1, "C": 1e-18}, "C / (6 N) is 2×10⁻⁹ to 1.4×10⁻⁷, so few examples that C may be of one example"),
        ({"N": 1, "C": 1}, ""),
        ({"N": 1, "D": 1, "C": np.array([1, 1e-3, 1])}, "C / (N D) is 0.006 to 6 in these rows"),
    ],
)
def test_units_are_questioned(units, wanted):
    N, D = np.array([70e6, 1.3e9, 7.1e9]), np.array([2e9, 26e9, 140e9])
    table = pd.DataFrame({"N": N, "D": D, "C": 6 * N * D, "loss": 3.0})[[*units, "loss"]]
    said = doubtful_units(table.assign(**{name: table[name] * unit for name, unit in units.items()}))
    assert len(said) == bool(wanted)
    assert wanted in "".join(said)


def test_whole_numbers_of_millions_and_logarithms_are_questioned_too():
    N, D = np.array([70.0, 124, 410, 1300]), np.array([2e9, 26e9, 140e9, 300e9])
    assert "in millions or billions" in "".join(doubtful_units(pd.DataFrame({"N": N, "D": D})))
    logs = pd.DataFrame({"N": np.log10(N * 1e6), "D": np.log(D)})
    said = doubtful_units(logs)
    assert len(said) == 2
    assert "N is 7.85 to 9.11: are these logarithms?" in said[0]
    assert 'in millions or billions, "N = 1e9 * N"' in said[0]
    assert doubtful_units(pd.DataFrame({"N": [16.0, 32, 64, 128], "D": [1e4, 2e4, 4e4, 8e4]})) == []


def test_experts_make_kinds_of_runs():
    table = pd.concat([TABLE.assign(experts=n) for n in (1, 8)], ignore_index=True)
    assert [one.name for one in mixtures_of(selected(table)[0])] == ["experts"]


def test_products_of_whole_numbers_do_not_run_over():
    table = pd.DataFrame({"N": [70_000_000_000], "D": [1_400_000_000_000]})
    assert derive_column(table, "C = 6*N*D")["C"].tolist() == [5.88e23]
    assert derive_column(table.astype("int32", errors="ignore").assign(w=np.int32(70_000)), "N2 = w*w")[
        "N2"
    ].tolist() == [4.9e9]
    assert len(selected(table.assign(loss=2.0), where="6*N*D > 1e23")[0]) == 1


def test_numbers_that_may_be_missing_are_computed_like_others():
    whole = pd.DataFrame({"N": pd.array([10**12, None], dtype="Int64"), "D": pd.array([10**12, 5], dtype="Int64")})
    assert evaluate(whole, "6*N*D")[0] == 6e24
    assert mask(whole, "N > 5").tolist() == [True, False]
    small = pd.DataFrame({"N": np.array([200, 100], dtype="uint8"), "ok": pd.array([True, None], dtype="boolean")})
    assert evaluate(small, "-N").tolist() == [-200, -100]
    assert mask(small, "ok and N > 5").tolist() == [True, False]


def test_a_settings_several_values_are_noted():
    table = pd.concat([TABLE, TABLE], ignore_index=True).assign(dataset=["a", "b"] * 3, lr=[1e-3, 1e-3, 3e-3] * 2)
    _, _, said = selected(table)
    assert "runs of 2 values of dataset (a, b) are pooled; runs of 2 values of lr (0.001, 0.003) are pooled" in said
    assert "pooled" not in selected(table.assign(dataset="a", lr=1e-3))[2]


LINES = "N,D,loss\n1e6,1e8,3.25\n2e6,2e8,3.0\n4e6,4e8,2.75\n"
ROWS = [dict(zip(TABLE.columns, row, strict=True)) for row in TABLE.to_numpy().tolist()]


MARKDOWN = "\n".join(
    f"| {line.replace(',', ' | ')} |" for line in LINES.replace("N,D,loss\n", "N,D,loss\n---,:--:,---\n").split()
)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("title.csv", "Runs, of May\n\n" + LINES),
        ("title_of_excel.csv", "Runs of May,,\n,,\n" + LINES),
        ("title_and_units.csv", "Runs, of May\n\nN,D,loss\n[M],[B],nats\n1,0.1,3.25\n2,0.2,3.0\n4,0.4,2.75\n"),
        ("savetxt.txt", "# " + LINES.replace(",", " ")),
        ("hash.csv", LINES.replace("N,", "#N,")),
        (
            "numbered.csv",
            "run," + LINES.replace("\n1e6", "\n#1,1e6").replace("\n2e6", "\n#2,2e6").replace("\n4e6", "\n#3,4e6"),
        ),
        ("said.csv", "sep=;\n" + LINES.replace(",", ";")),
        ("table.txt", MARKDOWN),
        ("table.md", MARKDOWN),
        ("grid.txt", "+---+---+---+\n" + MARKDOWN.replace("\n", "\n+---+---+---+\n", 1) + "\n+---+---+---+\n"),
        ("page.md", f"# Results\n\nOf May.\n\n{MARKDOWN}\n\nAll of one seed.\n"),
        (
            "simple.txt",
            "     N    D  loss\n------  ---  ------\n" + "\n".join(LINES.replace(",", "  ").split("\n")[1:]),
        ),
        (
            "rst.txt",
            "===  ===  ====\n  N    D  loss\n===  ===  ====\n"
            + LINES.replace(",", "  ").partition("\n")[2]
            + "===  ===  ====\n",
        ),
        ("box.txt", "╭───┬───┬───╮\n" + MARKDOWN.replace("|", "│").replace("---", "───") + "\n╰───┴───┴───╯\n"),
        ("heavy.txt", "Runs\n┏━━━┳━━━┳━━━┓\n" + MARKDOWN.replace("|", "┃").replace("---", "━━━") + "\n└───┴───┴───┘\n"),
        ("levels.csv", ",,loss\n" + LINES.replace("loss", "", 1)),
        ("units.csv", LINES.replace("loss\n", "loss\n(params),(tokens),(nats)\n")),
        ("factors.csv", "N,D,loss\n[M],[B],\n1,0.1,3.25\n2,0.2,3.0\n4,0.4,2.75\n"),
        ("thousands.csv", "N;D;loss\n1.000.000;100.000.000;3,25\n2.000.000;2e8;3\n4.000.000;4e8;2,75\n"),
        ("commas.tsv", LINES.replace(",", "\t").replace(".", ",")),
        ("quoted.csv", 'N,D,loss\n1e6,1e8,"3,25"\n2e6,2e8,"3,0"\n4e6,4e8,"2,75"\n'),
        ("row_names.txt", 'N D loss\n"1" 1e6 1e8 3.25\n"2" 2e6 2e8 3.0\n"3" 4e6 4e8 2.75\n'),
        (
            "wide.txt",
            "Model Size   Training tokens   Val loss\n1e6       1e8        3.25\n2e6   2e8   3.0\n4e6   4e8   2.75\n",
        ),
        ("commas_behind.csv", LINES.replace("\n", ",\n").replace("loss,", "loss")),
        ("joined.csv", LINES + LINES),
        ("mac.csv", LINES.replace("\n", "\r")),
        ("invisible.csv", LINES.replace("loss", "loss\u200b")),
        ("twice.csv", "N,D,loss,loss\n1e6,1e8,3.25,3.25\n2e6,2e8,3,3\n4e6,4e8,2.75,2.75\n"),
        ("by_name.json", json.dumps({f"run {i}": {"config": {"n_params": r["N"]}, **r} for i, r in enumerate(ROWS)})),
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
    table = as_numbers(load_table(path), list(TABLE.columns))[list(TABLE.columns)]
    np.testing.assert_allclose(table.drop_duplicates(), TABLE)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.csv", LINES.partition("\n")[2], "the first row holds 1e6, 1e8, 3.25; wanted names"),
        (
            "more.csv",
            LINES.replace("\n", ",7\n").replace("loss,7", "loss"),
            r"found 3 names \(N, D, loss\) above rows of 4",
        ),
        ("cut.jsonl", '{"N": 1}\n{"N": ', "line 2 is no JSON"),
        ("list.json", "[1, 2]", "no list of objects"),
        ("none.json", "[]", "no rows"),
        ("odd.json", '{"columns": 5, "data": [[1, 2]]}', "no list of objects"),
        ("twice.csv", "config,config.lr,loss\n{'lr': 1},2,3\n", "found config.lr as a column and in config"),
    ],
)
def test_files_without_names_or_values_are_told_apart(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        load_table(tmp_path / name)


def test_several_tables_in_a_text_are_told(tmp_path):
    (tmp_path / "page.md").write_text(f"{MARKDOWN}\n\nAnd:\n\n{MARKDOWN}\n")
    with pytest.raises(UserError, match="found 2 tables in the text; wanted one"):
        load_table(tmp_path / "page.md")


def test_an_encrypted_zip_is_told(tmp_path):
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.writestr("t.csv", LINES)
    content = bytearray((tmp_path / "t.zip").read_bytes())
    content[content.find(b"PK\x03\x04") + 6] |= 1  # the flag of encrypted files, in both of its places
    content[content.find(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "t.zip").write_bytes(content)
    with pytest.raises(UserError, match="encrypted"):
        load_table(tmp_path / "t.zip")


@pytest.mark.parametrize(
    ("rows", "loss"),
    [("125,000\t1,000\t3\n250,000\t2,000\t2\n", [3, 2]), ("125\t1000\t3,125\n250\t2000\t2,875\n", [3.125, 2.875])],
)
def test_commas_before_three_digits_are_told_apart_where_no_number_has_a_point(tmp_path, rows, loss):
    (tmp_path / "t.tsv").write_text("N\tD\tloss\n" + rows)
    read, _, _ = selected(load_table(tmp_path / "t.tsv"))
    assert read["loss"].tolist() == loss
    assert read["D"].tolist() == [1000, 2000]


def test_two_columns_of_one_name_that_differ_are_asked_about(tmp_path):
    (tmp_path / "t.csv").write_text("N,D,loss,loss\n1e6,1e8,1,3.25\n2e6,2e8,2,3.0\n4e6,4e8,3,2.75\n")
    table = load_table(tmp_path / "t.csv")
    with pytest.raises(UserError, match=r"loss\.0, loss\.1 may be meant: choose one with --columns loss=loss\.0"):
        selected(table)


def test_what_was_left_out_of_a_text_is_said(tmp_path):
    (tmp_path / "t.csv").write_text(LINES.replace("4e6", "#4e6").replace(",", ";").replace(".", ","))
    rows, _, said = selected(load_table(tmp_path / "t.csv"))
    assert rows["loss"].tolist() == [3.25, 3.0]
    assert "1 line below the head begin with # and are left out" in said
    assert "numbers are read with decimal commas: 1,5 is 1.5" in said


def test_frames_with_indices_categories_and_kinds_of_arrow_are_tables(tmp_path):
    table = TABLE.assign(kind=pd.Categorical(["a"] * 3), N=pd.Categorical(["1e6", "2e6", "4e6"]))
    assert selected(table)[0]["N"].tolist() == [1e6, 2e6, 4e6]
    for frame in (
        TABLE.set_index(["N", "D"]),
        pd.concat([TABLE, TABLE]),
        TABLE.convert_dtypes(dtype_backend="pyarrow"),
    ):
        assert set(selected(frame)[0]["N"]) == {1e6, 2e6, 4e6}
    TABLE.set_index("N").to_parquet(tmp_path / "t.parquet")
    assert load_table(tmp_path / "t.parquet")["N"].tolist() == [1e6, 2e6, 4e6]


def test_times_of_day_are_no_numbers_and_durations_are_seconds():
    began = pd.date_range("2026-01-01", periods=3)
    rows = as_numbers(TABLE.assign(took=pd.to_timedelta([1, 2, 4], unit="h")), ["took"])
    assert rows["took"].tolist() == [3600, 7200, 14400]
    with pytest.raises(UserError, match=r"column 'began' holds '2026-01-01.*; wanted numbers"):
        as_numbers(TABLE.assign(began=began), ["began"])


def test_notes_of_the_user_on_a_table_and_the_text_of_one_disturb_nothing():
    table = TABLE.copy()
    table.attrs = {"remarks": "mine", "taken": 5, "moved": None}
    assert selected(table)[2] == ""
    with pytest.raises(UserError, match="characters that are no path"):
        load_table(pd.concat([TABLE] * 200).to_csv())


def test_a_table_that_cannot_be_looked_at_is_not_called_missing(tmp_path):
    loop = tmp_path / "runs.csv"
    loop.symlink_to(loop)
    with pytest.raises(UserError, match=r"runs.csv, which cannot be read \(Too many levels of symbolic links\)"):
        load_table(loop)
    with pytest.raises(UserError, match="1 characters that are no path"):
        load_table("\0")


def test_losses_in_bits_are_read_in_nats():
    bits = TABLE["loss"] / np.log(2)
    mixed = [f"{TABLE['loss'][0]} nats/token", f"{bits[1]} bits per byte", f"{bits[2]} bpb"]
    for frame in (
        TABLE.assign(loss=mixed),
        TABLE.drop(columns="loss").assign(**{"loss (bits)": bits}),
        TABLE.rename(columns={"loss": "val_loss"}).assign(val_loss_bits=bits),
    ):
        np.testing.assert_allclose(selected(frame)[0]["loss"].astype(float), TABLE["loss"])
    rows, _, said = selected(TABLE.assign(**{"error (%)": [30.0, 20.0, 10.0]}), y="error")
    assert rows["error"].tolist() == pytest.approx([0.3, 0.2, 0.1])
    assert "error is taken from error (%) x 0.01" in said


PAPER = r"""\begin{tabular*}{\textwidth}{@{\extracolsep{\fill}}lcr} % three columns
\toprule \textbf{Params} & \multicolumn{2}{c}{Result} \\ \cmidrule(lr){2-3}
 {Params} & \# Tokens & Val.\ loss $\downarrow$ \\[2pt] \midrule
\multirow{2}{*}{1M} & $1 \times 10^{8}$ & $\mathbf{3.25} \pm 0.01$ \\
 & \num{2e8} & 3.0 \\ \hline
4{,}000{,}000 & 400M & \textbf{2.75} \\ \bottomrule
\end{tabular*}"""


@pytest.mark.parametrize("name", ["t.tex", "t.txt"])
def test_a_table_in_latex_is_read(tmp_path, name):
    path = tmp_path / name
    path.write_text(r"\caption{Runs, 100\% of them}" + "\n" + PAPER)
    rows = selected(load_table(path))[0]
    assert rows["N"].tolist() == [1e6, 1e6, 4e6]
    np.testing.assert_allclose(rows[["D", "loss"]].astype(float), TABLE[["D", "loss"]])
    path.write_text(TABLE.to_latex())
    np.testing.assert_allclose(load_table(path), TABLE)
    path.write_text(PAPER + PAPER)
    with pytest.raises(UserError, match="found 2 tabulars in the LaTeX; wanted one"):
        load_table(path)


RUNS = pd.DataFrame({"N": [1e6, 1e6, 4e6], "D": [1e8, 2e8, 1e8], "loss": [3.5, 3.25, 3.0]})


@pytest.mark.parametrize(
    "cell",
    [
        r"$3.25_{\pm .01}$",
        r"3.25 {\scriptsize $\pm$ 0.01}",
        r"\cellcolor{gray!20}3.25",
        r"\textcolor{red}{3.25}",
        r"{\bf 3.25}",
        r"\underline{\textbf{3.25}}",
        "3.25$^{*}$",
    ],
)
def test_a_number_in_latex_is_read_as_papers_write_it(tmp_path, cell):
    path = tmp_path / "t.tex"
    path.write_text(r"\begin{tabular}{lrr} N & D & loss \\ 1M & 1B & 3.5 \\ 2M & 1B & " + cell + r" \\ \end{tabular}")
    assert selected(load_table(path))[0]["loss"].astype(float).tolist() == [3.5, 3.25]


@pytest.mark.parametrize(
    "source",
    [
        RUNS.set_index(["N", "D"]).to_latex(),
        RUNS.to_latex(index=False, longtable=True, caption=r"Runs \emph{alone}", label="runs"),
        RUNS.to_latex(index=False).replace(r"\\", r"\\% a remark & more"),
    ],
    ids=["index merged over rows", "longtable", "comments after rows"],
)
def test_latex_tables_as_pandas_writes_them_are_read(tmp_path, source):
    path = tmp_path / "t.tex"
    path.write_text(source)
    np.testing.assert_allclose(load_table(path)[list(RUNS)].astype(float), RUNS)


def test_cells_that_hold_what_a_tracker_wrote_are_opened():
    config, summary = [{"model": {"n_params": N}} for N in TABLE["N"]], [f"{{'val/loss': {y}}}" for y in TABLE["loss"]]
    rows, _, _ = selected(pd.DataFrame({"config": config, "summary": summary, "tokens": TABLE["D"]}))
    np.testing.assert_allclose(rows[["N", "D", "loss"]], TABLE)
    nested = load_table(pd.DataFrame({"arguments": [{"N": N, "lr": 0.1} for N in TABLE["N"]], "loss": TABLE["loss"]}))
    assert nested["arguments.N"].tolist() == TABLE["N"].tolist()


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


def test_a_title_above_a_header_is_no_part_of_its_names(tmp_path):
    values = "".join(f",{row.N},{row.D},{row.loss}\n" for row in TABLE.itertuples())
    (tmp_path / "t.csv").write_text(f"Runs of May,,,\n,N,D,loss\n{values}")
    np.testing.assert_allclose(load_table(tmp_path / "t.csv"), TABLE)


def test_a_spreadsheet_is_read_with_the_extra(tmp_path):
    pytest.importorskip("openpyxl")
    TABLE.to_excel(tmp_path / "t.xlsx", index=False)
    np.testing.assert_allclose(load_table(tmp_path / "t.xlsx"), TABLE)
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        archive.write(tmp_path / "t.xlsx", "t.xlsx")
    np.testing.assert_allclose(load_table(tmp_path / "t.zip"), TABLE)
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        pd.DataFrame({"notes": ["read me"]}).to_excel(book, sheet_name="about", index=False)
        TABLE.to_excel(book, sheet_name="runs", index=False, startrow=3, startcol=1)
        pd.DataFrame([["Runs of May"]]).to_excel(book, sheet_name="runs", index=False, header=False)
    np.testing.assert_allclose(load_table(tmp_path / "t.xlsx"), TABLE)
    assert "the sheet runs of t.xlsx is read, and not about" in remarks_of(load_table(tmp_path / "t.xlsx"))
    with pd.ExcelWriter(tmp_path / "t.xlsx") as book:
        TABLE.to_excel(book, sheet_name="a", index=False)
        TABLE.to_excel(book, sheet_name="b", index=False)
    with pytest.raises(UserError, match=r"found 2 sheets with runs in t.xlsx \(a, b\)"):
        load_table(tmp_path / "t.xlsx")
    book = pytest.importorskip("openpyxl").Workbook()
    for row in (["N", "D", "loss"], [1e6, 1e8, 3.25], [None, 2e8, 3.0], [4e6, 4e8, 2.75]):
        book.active.append(row)
    book.active.merge_cells("A2:A3")
    book.save(tmp_path / "t.xlsx")
    assert load_table(tmp_path / "t.xlsx")["N"].tolist() == [1e6, 1e6, 4e6]
    book.active.row_dimensions[3].hidden = True
    book.save(tmp_path / "t.xlsx")
    assert remarks_of(load_table(tmp_path / "t.xlsx")) == ("1 hidden row of t.xlsx is read like the others",)
    (tmp_path / "broken.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot be read as xlsx"):
        load_table(tmp_path / "broken.xlsx")


def test_a_spreadsheet_says_what_it_wants_without_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"no package openpyxl.*pip install"):
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


@pytest.mark.parametrize(
    ("condition", "left"),
    [
        ("lambda > 0.1", 2),
        ("class == 'a'", 1),
        ("log(log) > 1", 1),
        ("`Model Size` > 1e6 and weight decay < 0.3", 1),
        ("N > 1e6 and val[loss] < 3", 1),
    ],
)
def test_columns_named_like_words_of_python_and_ones_named_anew_stand_in_conditions(condition, left):
    table = TABLE.rename(columns={"N": "Model Size", "loss": "val[loss]"}).assign(
        **{"lambda": [0.1, 0.2, 0.3], "class": ["a", "b", "c"], "log": [1, 2, 3], "weight decay": [0.1, 0.2, 0.3]}
    )
    rows, *_ = selected(verbs.columns(table, N="Model Size", loss="val[loss]"), where=condition)
    assert len(rows) == left
    assert "Model Size" not in rows.columns


@pytest.mark.parametrize("condition", ["N > 1,000,000", "(N > 1,000) and loss < 3", "[loss < 3]"])
def test_numbers_with_commas_in_a_condition_are_named(condition):
    with pytest.raises(UserError, match="found a comma"):
        selected(TABLE, where=condition)
    for members in ("N in (1e6, 2e6)", "N == [1e6, 2e6]", "N != [1e6]"):
        assert len(selected(TABLE, where=members)[0]) == 2


def test_times_in_a_condition_are_those_of_the_column_s_zone():
    times = pd.date_range("2024-03-31 23:00", periods=3, freq="h", tz="Europe/Berlin")
    for condition in ("created >= '2024-04-01'", "created >= '2024-04-01 00:00'", "created > '2024-03-31T21:00:00Z'"):
        assert len(selected(TABLE.assign(created=times), where=condition)[0]) == 2


def test_words_in_arithmetic_and_words_without_quotes_are_named():
    table = TABLE.assign(C=["much", "more", "most"])
    with pytest.raises(UserError, match=r"found 'much' in a column of \"C/\(6\*N\)\"; wanted numbers"):
        derive_column(table, "D = C/(6*N)")
    with pytest.raises(UserError, match=r"no column 'most'.*write a word in quotes: 'most'"):
        mask(table, "C == most")


def test_what_a_condition_names_wrongly_is_named_among_few():
    wide = pd.DataFrame({f"config.feature/{i}": [1.0] for i in range(500)}).assign(N=1.0)
    assert len(rows_where(wide, "config.feature/7 < 2")) == 1
    for condition in ("nope > 3", "config.nope > 3"):
        with pytest.raises(UserError, match=r"found no column '(config\.)?nope'.*and 461 more"):
            rows_where(wide, condition)


def test_lists_in_cells_are_words(tmp_path):
    table = pd.DataFrame({**TABLE, "tags": [["a"], ["a"], ["b"]], "config": [{"lr": 1}] * 3})
    assert len(selected(table)[0]) == 3
    (tmp_path / "t.jsonl").write_text("\n".join(json.dumps({**row, "tags": ["a"]}) for row in ROWS))
    assert load_table(tmp_path / "t.jsonl")["tags"].tolist() == ["['a']"] * 3


@pytest.mark.parametrize("cell", [np.arange(3.0), (1, [2]), bytearray(b"a"), pd.Series([1.0, 2.0]), {1}])
def test_cells_that_cannot_be_compared_are_words(tmp_path, cell):
    table = TABLE.assign(history=[cell] * 3)
    assert len(selected(table)[0]) == 3
    TABLE.assign(history=[np.arange(3.0)] * 3).to_parquet(tmp_path / "t.parquet")
    assert len(selected(load_table(tmp_path / "t.parquet"))[0]) == 3


@pytest.mark.parametrize("index", [True, False])
def test_names_of_groups_as_pandas_writes_them_are_joined(tmp_path, index):
    groups = pd.concat([TABLE, TABLE]).groupby(["N", "D"]).agg({"loss": ["mean", "std"]})
    (groups if index else groups.reset_index()).to_csv(tmp_path / "t.csv", index=index)
    table = load_table(tmp_path / "t.csv")
    assert list(table.columns) == ["N", "D", "loss_mean", "loss_std"]
    assert table["loss_mean"].tolist() == TABLE["loss"].tolist()


def test_the_curves_of_a_chart_are_no_table_of_runs():
    table = pd.DataFrame({"Step": [1, 2], "a - loss": [3, 2], "a - loss__MIN": [3, 2], "a - loss__MAX": [3, 2]})
    with pytest.raises(UserError, match="a - loss is the curve of a run in a chart of W&B: export the table of runs"):
        as_numbers(table, ["N"])


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


def test_rows_that_repeat_another_but_for_rounding_count_once():
    size = np.geomspace(1e6, 1e9, 12)
    table = pd.DataFrame({"N": size, "loss": 2 + 400 * size**-0.3})
    twin = table.assign(loss=table["loss"].astype("float32").astype(float))
    once = fit(pd.concat([table, twin]), "saturating", x="N", resamples=0)
    assert once.n_points == 12
    assert "12 rows that repeat another" in once.card["left_out"]


def test_rows_written_again_with_fewer_digits_count_once():
    """Else the copies are seeds that do not scatter, and every law is weak against them."""
    rng = np.random.default_rng(0)
    size = np.geomspace(1e6, 1e9, 20)
    table = pd.DataFrame({"N": size, "loss": (2 + 400 * size**-0.3) * np.exp(0.005 * rng.standard_normal(20))})
    for digits in (4, 5):
        shorter = table.iloc[::3].map(lambda x, digits=digits: float(f"{x:.{digits}g}"))
        for columns in (["loss"], ["N", "loss"]) if digits == 5 else (["loss"],):
            again = pd.concat([table, table.iloc[::3].assign(**shorter[columns])])
            found = fit(again, "saturating", x="N", resamples=50, starts=8)
            assert found.n_points == 20
            assert found.certificate.status == "ok"


def test_a_last_digit_of_zero_makes_no_copy():
    """2.310 is read as 2.31, to which 2.312 rounds: these are two seeds."""
    table = pd.DataFrame({"N": [1e6, 1e6, 1e7, 1e7], "loss": [2.31, 2.312, 2.1, 2.104]})
    assert without_repeats(table, ["N"], "loss")[1] == 0
    assert without_repeats(table.assign(loss=[2.3, 2.312, 2.1, 2.104]), ["N"], "loss")[1] == 0
    assert without_repeats(table.assign(loss=[2.31234, 2.312, 2.1, 2.104]), ["N"], "loss")[1] == 1


def test_inputs_that_agree_to_five_digits_are_one_setting():
    rng = np.random.default_rng(0)
    size = np.repeat(np.geomspace(1e6, 1e9, 8), 3)
    loss = (2 + 400 * size**-0.3) * np.exp(0.005 * rng.standard_normal(24))
    table = pd.DataFrame({"N": size * (1 + 1e-5 * rng.random(24)), "loss": loss})
    assert fit(table, "saturating", x="N", resamples=0).lack_of_fit.cells == 8
    with pytest.raises(Refusal, match="8 distinct settings"):
        fit(table, "bnsl2", x="N", resamples=0)


def test_a_perplexity_or_a_log_likelihood_is_turned_into_a_loss():
    size = np.geomspace(1e6, 1e9, 12)
    table = pd.DataFrame({"N": size, "ppl": np.exp(2 + 400 * size**-0.3), "ll": -2 - 400 * size**-0.3})
    assert any(
        '--derive "loss = log(ppl)"' in said for said in fit(table, "power", x="N", y="ppl", resamples=0).warnings
    )
    with pytest.raises(UserError, match=r'found no row with ll > 0.*--derive "loss = -ll"'):
        fit(table, "power", x="N", y="ll")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "get it with `git lfs pull`"),
        ("<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>", "found a web page"),
    ],
)
@pytest.mark.parametrize("name", ["t.csv", "t.parquet"])
def test_what_a_download_brings_instead_of_a_table_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=said):
        load_table(tmp_path / name)


def test_an_address_is_no_path():
    with pytest.raises(UserError, match=r"found https://a\.b/t\.csv, which is no path; .* download it first"):
        load_table("https://a.b/t.csv")


def test_a_size_in_a_unit_names_no_run():
    table = curves("a").drop(columns="a").assign(**{"N (M)": lambda rows: (rows["N"] / 1e6).map(str)}).drop(columns="N")
    assert "run-column" not in selected(table)[2]
