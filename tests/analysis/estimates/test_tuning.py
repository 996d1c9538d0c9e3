"""Tuned keys: the optimum of each size and length, and the key's law, recovered from tables with a known truth."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from analysis.cli import cli
from analysis.errors import Refusal, UserError, attempt
from analysis.estimates.tuning.key_law import fit_key_law
from analysis.estimates.tuning.mistuning import mistuning
from analysis.estimates.tuning.optima import tuned
from analysis.estimates.tuning.paraboloid import fit_paraboloid
from analysis.estimates.tuning.trials import are_trials, trial_rows
from analysis.numbers import exponent
from analysis.report.headlines import tuned_headlines
from analysis.report.tables.rates_table import rates_table
from analysis.table.read import load_table
from tests.analysis import worlds
from tests.default_cases import default_cases

HEIGHT, B, C = 0.01, -0.3, -0.1  # lr* = HEIGHT (N / 10^4)^B (D / 4 10^5)^C
CURVATURE = 0.02


def best_lr(N, D):
    return HEIGHT * (N / 1e4) ** B * (D / 4e5) ** C


def table(*, noise=0.003, seeds=2, tried=8, offset=0.0, sizes=4, lengths=3, random=0, steeper=0.0):
    rng = np.random.default_rng(random)
    rows = []
    for N in 1e3 * 4 ** np.arange(sizes):
        for D in 1e5 * 4 ** np.arange(lengths):
            for z in offset + np.linspace(-1.6, 1.9, tried):
                loss = (1 + N**-0.3 + D**-0.2) * (1 + CURVATURE * z**2 * (1 + steeper * z))
                rows += [
                    {"N": N, "D": D, "lr": best_lr(N, D) * np.exp(z), "seed": seed, "status": "finished", "final": True}
                    | {"val_loss": loss * np.exp(noise * rng.standard_normal())}
                    for seed in range(seeds)
                ]
    return pd.DataFrame(rows)


def test_the_law_and_its_cost_come_back_within_their_intervals():
    found = tuned(table(random=1), resamples=300, level=0.99)
    law = found.laws[0]
    assert [optimum.status for optimum in found.optima] == ["ok"] * 12
    for name, truth in (("N", B), ("D", C)):
        low, high = law.intervals[name]
        assert low < truth < high
        assert high - low < 0.15
    assert law.predict({"N": 1e6, "D": 1e7}) == pytest.approx(best_lr(1e6, 1e7), rel=0.3)
    low, high = law.interval({"N": 1e6, "D": 1e7})
    assert low < best_lr(1e6, 1e7) < high
    assert found.cost[0] == pytest.approx(CURVATURE * np.log(2) ** 2, rel=0.2)


def test_without_noise_nothing_is_off():
    found = tuned(table(noise=0.0, seeds=1), resamples=0)
    for optimum in found.optima:
        assert optimum.best[0] == pytest.approx(best_lr(optimum.N, optimum.D), rel=0.01)
    assert found.laws[0].exponents == pytest.approx({"N": B, "D": C}, abs=0.01)
    text = found.laws[0].rule()
    assert eval(text, {"N": 3e4, "D": 1e6}) == pytest.approx(best_lr(3e4, 1e6), rel=0.02)


def test_two_keys_have_one_optimum():
    z = np.stack(np.meshgrid(np.linspace(-1, 1, 5), np.linspace(-1, 1, 5)), axis=-1).reshape(-1, 2)
    truth = np.array([0.2, -0.3])
    v = z - truth
    paraboloid = fit_paraboloid(z, (2 + 0.3 * v[:, 0] ** 2 + 0.2 * v[:, 1] ** 2 + 0.1 * v[:, 0] * v[:, 1])[None])
    assert paraboloid.minima()[0] == pytest.approx(truth)


def test_values_at_which_training_nearly_diverges_do_not_move_the_optimum():
    z = np.log(2) * np.arange(-4.0, 3.0)
    smooth = 0.8 * (1 + 0.04 * z**2)
    steep = np.where(z > 1, [0, 0, 0, 0, 0, 0, 3.0], smooth)
    paraboloid = fit_paraboloid(z[:, None], steep[None])
    assert paraboloid.minima()[0] == pytest.approx([0.0], abs=1e-9)
    assert paraboloid.value(np.zeros((1, 1))) == pytest.approx(0.8)


def test_a_key_that_hardly_matters_is_named_where_no_optimum_of_both_is_found():
    rng = np.random.default_rng(3)
    rows = table(tried=12)
    rows["decay"] = np.exp(rng.uniform(-3, 0, len(rows) // 2)).repeat(2)  # both seeds of a value have one
    found = tuned(rows, keys=("lr", "decay"), resamples=50)
    flat = [optimum.reason for optimum in found.optima if optimum.status == "flat"]
    assert len(flat) > 3
    assert all(reason.endswith("or tune without decay, on which it depends least") for reason in flat)


@pytest.mark.parametrize(("offset", "which"), [(3.0, "smallest"), (-3.0, "largest")])
def test_an_optimum_beyond_the_values_tried_is_no_optimum(offset, which):
    found = tuned(table(offset=offset), resamples=50)
    assert {optimum.status for optimum in found.optima} == {"edge"}
    assert which in found.optima[0].reason
    assert found.laws == (None,)
    assert any("no law of lr: 0 of 12 optima are usable; wanted three" in text for text in found.warnings)


def test_too_few_values_are_refused():
    with pytest.raises(Refusal, match="try more"):
        tuned(table(tried=3))
    with pytest.raises(UserError, match="above zero"):
        tuned(table().assign(lr=0.0))


def test_size_and_length_that_move_together_share_an_exponent():
    N = np.array([1e3, 1e4, 1e5, 1e6])
    law = fit_key_law({"N": N, "D": 1e9 / N}, np.log(N**-0.5), draws=np.empty((0, 4)), level=0.95)
    assert law.exponents == pytest.approx({"N": -0.5})
    assert "one exponent" in law.warnings[0]


def test_keys_come_from_columns_or_overrides():
    rows = table(lengths=1, sizes=1).assign(run_id=lambda t: [str(i) for i in t.index])
    names, found = trial_rows(rows, ["optim.lr"])
    assert names == ("lr",)
    named = rows.drop(columns="lr").assign(overrides=[f"seed=0 optim.weight_decay={lr:g} x=1" for lr in rows["lr"]])
    names, found = trial_rows(named, ["optim.weight_decay"])
    assert found["optim.weight_decay"].to_numpy() == pytest.approx(rows["lr"].to_numpy(), rel=1e-5)
    with pytest.raises(UserError, match="wanted what was tuned"):
        trial_rows(named, ["optim.beta"])
    assert are_trials(rows)
    assert not are_trials(rows.assign(lr=0.1))


def test_kinds_of_runs_at_one_size_and_length_are_not_averaged():
    rows = table(lengths=1, sizes=2).assign(augment="none", optim="lion()")
    mixed = pd.concat([rows, rows.assign(augment="standard", lr=rows["lr"] / 3)], ignore_index=True)
    with pytest.raises(Refusal, match=r"differ in augment .*--where"):
        trial_rows(mixed, ["lr"])
    assert len(trial_rows(mixed, ["lr"], selection={"where": "augment == 'none'"})[1]) == len(rows)
    assert len(trial_rows(mixed, ["lr"], selection={"pool": ["augment"]})[1]) == len(mixed)
    decays = rows.assign(
        optim=[f"lion(weight_decay={lr:g})" for lr in rows["lr"]], **{"optim.weight_decay": rows["lr"]}
    )
    assert len(trial_rows(decays, ["optim.weight_decay"])[1]) == len(rows)  # what is tuned differs


def test_runs_on_subsets_of_other_sizes_have_their_own_optimum():
    many = table(lengths=1, sizes=2).assign(D_unique=1e5)
    few = many.assign(D_unique=1e4, lr=many["lr"] / 3)
    found = tuned(pd.concat([many, few], ignore_index=True), resamples=50)
    assert len(found.optima) == 4
    assert found.optima[0].best[0] == pytest.approx(best_lr(1e3, 1e5) / 3, rel=0.1)
    assert len(tuned(many.assign(D_unique=np.nan), resamples=0).optima) == 2
    assert len(tuned(pd.concat([many.assign(D_unique=np.nan), few], ignore_index=True), resamples=0).optima) == 4


def test_milestones_of_constant_rate_runs_are_lengths_if_asked_for():
    rows = table().assign(schedule="constant", final=lambda t: t["D"].eq(t["D"].max()))
    assert len(tuned(trial_rows(rows, ["lr"])[1], resamples=0).optima) == 4
    assert len(tuned(trial_rows(rows, ["lr"], selection={"rows": "all"})[1], resamples=0).optima) == 12


def test_the_verb_writes_numbers_and_figures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    table(lengths=1).to_csv("tries.csv", index=False)
    command = ["tuned", "tries.csv", "--resamples", "50"]
    cli(command, standalone_mode=False)
    assert "rule: " in capsys.readouterr().out
    cli([*command, "--json", "-"], standalone_mode=False)
    content = json.loads(capsys.readouterr().out)
    assert content["laws"]["lr"]["exponents"]["N"] == pytest.approx(B, abs=0.1)
    assert content["rules"]["lr"]


def sweep(rate, *, noise=0.0):
    """An isoFLOP sweep whose loss suffers from its rates: N* ~ C^0.5 at the best ones."""
    rng, rows = np.random.default_rng(2), []
    for C in 6 * np.geomspace(3e8, 3e10, 5):
        for N in np.sqrt(C / 6) * np.geomspace(1 / 8, 8, 9):
            D = C / (6 * N)
            lr = rate(N, D)
            loss = (0.5 + 20 * N**-0.4 + 20 * D**-0.4) * (1 + CURVATURE * np.log(lr / best_lr(N, D)) ** 2)
            rows.append({"N": N, "D": D, "C": C, "lr": lr, "loss": loss * np.exp(noise * rng.standard_normal())})
    return pd.DataFrame(rows)


@pytest.mark.slow
def test_what_wrong_rates_do_to_exponents_is_found_and_undone():
    found = tuned(table(noise=0.001, lengths=4), resamples=200)
    right = mistuning(sweep(best_lr), found)
    wrong = mistuning(sweep(lambda N, D: 0.01 * (N / 1e4) ** 0.3), found)
    assert right.N.fitted == pytest.approx(0.5, abs=0.01)
    assert right.N.shift == pytest.approx(0, abs=0.01)
    assert abs(wrong.N.shift) > 0.03
    assert wrong.N.corrected == pytest.approx(right.N.fitted, abs=0.02)
    assert wrong.y.corrected == pytest.approx(right.y.fitted, abs=0.01)
    assert wrong.N.interval[0] < right.N.fitted < wrong.N.interval[1]
    assert wrong.cost[1] > right.cost[1]
    assert wrong.extrapolated > 0


@pytest.mark.parametrize(("wild", "refused"), [(4, False), (30, True)])
def test_a_best_rate_that_is_hardly_known_corrects_nothing(wild: int, refused: bool):
    found = tuned(table(noise=0.001), resamples=100)
    [law] = found.laws
    steep = np.where(np.arange(100) < wild, 3.0, 0.0)  # laws under which the largest runs lose nearly all their loss
    unsure = replace(found, laws=(replace(law, draws=law.draws + steep[:, None] * [0.0, 1.0, 0.0]),))
    corrected, said = attempt(lambda: mistuning(sweep(best_lr), unsure))
    assert (corrected is None) == refused
    assert said == "" or re.search(r"under 30 of 100 resampled laws of it, .*; tune it at more sizes", said)


def test_without_a_law_of_the_key_nothing_is_said_of_its_cost():
    with pytest.raises(Refusal, match="tune it at more"):
        mistuning(sweep(best_lr), tuned(table(offset=3.0), resamples=0))


def test_a_report_of_tries_answers_how_the_rate_moves():
    rows = table(lengths=1).assign(run_id="x")
    [line] = tuned_headlines(rows)
    assert line.what == "best learning rate moves as"
    assert line.value.startswith("N<sup>−0.")
    assert line.interval
    assert tuned_headlines(rows.assign(lr=0.1)) == []


@pytest.mark.slow
def test_intervals_of_the_exponents_hold_the_truth():
    inside = 0
    for random in range(60):
        low, high = tuned(table(random=random, seeds=3), resamples=300).laws[0].intervals["N"]
        inside += low < B < high
    assert inside >= 52  # of 60: 95 % but for what four seeds or fewer say of their own scatter


def with_tries(root):
    """Write a sweep whose rates are too high for large models, and beside it tries of five rates at each setting."""
    runs = worlds.isoflop(worlds.World(noise=0.002), widths=(8, 16, 32, 64, 128, 192), budgets=(4e8, 1e9, 4e9), seeds=1)
    best = 0.01 * (runs["N"] / 1e3) ** -0.4

    def at(rate):
        cost = 1 + 0.05 * np.log2(rate / best) ** 2
        ids = [f"{run_id}{value:.5f}" for run_id, value in zip(runs["run_id"], rate, strict=True)]
        return runs.assign(lr=rate, run_id=ids, loss=runs["loss"] * cost, val_loss=runs["val_loss"] * cost)

    worlds.write_results(at(best * 0 + 0.01), root)
    return worlds.write_results(pd.concat([at(best * 2.0**k) for k in (-2, -1, 0, 1, 2)]), root, "sweep-tune")


@pytest.mark.slow
def test_allocate_and_the_report_say_what_the_rates_beside_a_sweep_do(tmp_path, monkeypatch, capsys):
    beside = with_tries(tmp_path)
    source = beside.with_name("sweep")
    monkeypatch.chdir(tmp_path)
    cli(["allocate", str(source), "--resamples", "0", "--json", "-"], standalone_mode=False)
    moved = json.loads(capsys.readouterr().out)["mistuning"]
    assert moved["N"]["corrected"] > moved["N"]["fitted"] + 0.01  # large models are those that are off
    assert moved["off"][2] > 2
    shown = rates_table(source, load_table(source), 0.95)
    assert shown.rows[0][:3] == ("best N", exponent(moved["N"]["fitted"]), exponent(moved["N"]["corrected"]))
    assert "costs" in shown.note
    assert rates_table(beside, load_table(source), 0.95) is None
    with pytest.raises(UserError, match="no tries of a learning rate"):
        cli(["allocate", str(source), "--resamples", "0", "--tuned", str(source)], standalone_mode=False)


@pytest.mark.parametrize("steeper", default_cases([0.0, 0.1, -0.1], 0.1))
def test_the_interval_of_an_optimum_holds_it_where_the_loss_is_steeper_on_one_side(steeper: float) -> None:
    inside = []
    for random in range(6):
        runs = table(random=random, steeper=steeper)
        optima = tuned(runs, resamples=200).optima
        inside += [one.interval[0][0] < best_lr(one.N, one.D) < one.interval[0][1] for one in optima if one.ok]
    assert np.mean(inside) > 0.88


def test_with_few_values_the_skew_is_not_known_and_the_interval_wider() -> None:
    runs = table(random=3, tried=5, sizes=1, lengths=1, noise=1e-3)
    (optimum,) = tuned(runs, resamples=200).optima
    assert optimum.interval[0][1] > 1.1 * optimum.interval[0][0]
