"""The command line as a user meets it: plan, run, look, run again, and every mistake in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scaling.__main__ as entry
from tests.default_cases import default_cases
from tests.import_counts import imported

SWEEP = """\
# Does it work?
model: {depth: 1}
train: {device: cpu}
launcher: {workers: 1}
sweep:
  grid:
    - product: {model.width: [8, 16], train.budget: [5.0e+6, 1.0e+7], seed: [0, 1]}
  set: {optim.lr: 1e-2 * (width / 8) ** -0.5}
"""
LEAST = ("train.budget=5.0e+6", "seed=0")  # one run a width
CPU = "train.device=cpu"  # the same on a machine with a GPU
ONE = (CPU, "launcher.workers=1")


@pytest.fixture(scope="module")
def swept(make_command_line):
    """A folder in which a small sweep was planned and run."""
    scaling = make_command_line("swept")
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "tiny.yaml").write_text(SWEEP)
    scaling("run", "sweep=tiny")
    return scaling


def records(folder):
    return {path.parent.name: path.read_bytes() for path in folder.glob("results/runs/*/record.json")}


def test_the_plan_is_what_then_runs(swept):
    plan = json.loads(swept("plan", "sweep=tiny", "--json", "-"))
    assert {run["run_id"] for run in plan["runs"]} == set(records(swept.folder))
    assert {run["status"] for run in plan["runs"]} == {"finished"}
    for run in plan["runs"]:
        record = json.loads((swept.folder / "results/runs" / run["run_id"] / "record.json").read_text())
        for name in ("N", "N_total", "N_body", "N_nonhead", "D", "D_unique", "epochs", "steps", "C", "C_counted"):
            assert record["counts"][name] == run[name], name
        assert record["points"][-1]["D"] == run["D"]
        assert 0 <= run["budget"] - run["C"] < run["C"] / run["steps"] * 1.001
    assert plan["total"]["C"] == sum(run["C"] for run in plan["runs"])


def test_all_members_of_a_stack_have_checkpoints_at_a_time(swept):
    """A worker trains four runs of a width together, and alone one after the other."""
    eager, stacked = (
        json.loads(swept("plan", "sweep=tiny", f"train.engine={engine}", "launcher.workers=1", "--json", "-"))["total"]
        for engine in ("eager", "stacked")
    )
    assert stacked["peak_checkpoint_bytes"] == pytest.approx(4 * eager["peak_checkpoint_bytes"], rel=0.1)


def test_run_again_trains_nothing_and_a_new_width_trains_only_the_new_runs(swept):
    before = records(swept.folder)
    assert "8 were settled before" in swept("run", "sweep=tiny")
    swept("run", "sweep=tiny", "model.width=8,16,24", "name=wider")
    after = records(swept.folder)
    assert len(after) == 12
    assert {key: after[key] for key in before} == before


def test_hydra_and_the_verb_ask_for_the_same_runs(swept, monkeypatch):
    before = records(swept.folder)
    monkeypatch.setattr("sys.argv", ["scaling"])  # where Hydra looks
    swept("-m", "sweep=tiny")
    assert records(swept.folder) == before
    assert not (swept.folder / "multirun").exists()
    assert not (swept.folder / "outputs").exists()


def test_status_counts_all(swept):
    status = json.loads(swept("status", "results/tiny", "--json", "-"))
    assert status["counts"]["finished"] == status["total"] == 8
    assert "8/8 settled" in swept("status", "results/tiny")


def test_one_run_here_and_now(scaling):
    said = scaling("run", "model.width=8", "train.examples=2000", CPU)
    assert "loss" in said
    assert (scaling.folder / "results/single/plan.csv").exists()
    scaling("run", "model.width=12", "train.examples=2000", CPU)
    assert len((scaling.folder / "results/single/plan.csv").read_text().splitlines()) == 3


def test_runs_that_fail_are_in_the_json_too(scaling):
    scaling(
        "run",
        "model.width=8,16",
        "train.steps=1",
        "model.dropout=0.5",
        "train.micro_batch=2",
        *ONE,
        "--json",
        "told.json",
        code=1,
    )
    told = json.loads((scaling.folder / "told.json").read_text())
    assert [failure["cause"] for failure in told["failures"]] == ["refused", "refused"]


def test_one_run_that_diverged_says_so(scaling):
    assert "diverged" in scaling("run", "model.width=8", "train.steps=30", "optim=sgd", "optim.lr=1e9", CPU)


def test_a_rehearsal_is_the_plan_for_machines_too(scaling):
    rehearsed = json.loads(scaling("run", "model.width=8,16", "train.steps=5", "--dry-run", "--json", "-"))
    assert rehearsed == {
        **json.loads(scaling("plan", "model.width=8,16", "train.steps=5", "--json", "-")),
        "sbatch": [],
    }
    assert not (scaling.folder / "results").exists()


@pytest.mark.slow
def test_a_terminal_that_knows_only_ascii_is_no_error(scaling, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    assert "dropped 1 cell:" in scaling.outside("plan", "model.width=8", "data.size=1,1000", "train.steps=10")


def test_a_run_of_hydra_alone(scaling, monkeypatch):
    monkeypatch.setattr("sys.argv", ["scaling"])  # where Hydra looks
    scaling("model.width=8", "train.examples=2000", CPU)
    assert len(records(scaling.folder)) == 1
    assert sorted(path.name for path in scaling.folder.iterdir()) == ["results"]


def test_hydra_shows_its_own_config(scaling, monkeypatch):
    monkeypatch.setattr("sys.argv", ["scaling"])
    assert "sweeper:" in scaling("--cfg", "hydra", "train.steps=1")


def test_mistakes_outside_a_verb(scaling, monkeypatch):
    monkeypatch.setattr("sys.argv", ["scaling"])
    (scaling.folder / "results").mkdir()
    assert "model=mpl" in scaling("model.width=8", "model=mpl", code=2)
    assert "leave out -m" in scaling("-m", "sweep=quickstart", "--cfg", "job", code=2)
    assert "found a directory at results; give a file" in scaling.outside(
        "plan", "train.steps=1", "--json", "results", code=2
    )
    for words in (["plan", "train.steps=1", "results=~nobody-here/x"], ["fit", "~nobody-here/x.csv", "--law", "power"]):
        assert "found ~ before a name that no user here has" in scaling.outside(*words, code=2)
    assert "did you mean status" in scaling.outside("staus", code=2)
    gone = f"mkdir gone && cd gone && rmdir ../gone && {sys.executable} -m scaling plan"
    done = subprocess.run(["sh", "-c", gone], cwd=scaling.folder, capture_output=True, text=True, check=False)
    assert (done.returncode, "the folder you are in is gone" in done.stderr) == (2, True)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["plam"], "did you mean plan"),
        (["plan", "sweep=quickstrat"], "did you mean sweep=quickstart"),
        (["plan", "sweep=paper"], "paper/ablation, paper/"),
        (["plan", "sweep=paper/tat"], "did you mean sweep=paper/tta"),
        (["plan", "model.wdith=8"], "unknown key model.wdith; did you mean model.width"),
        (["plan", "tarin.steps=8"], "unknown key tarin"),
        (["plan", "--jsno", "-"], "unknown option --jsno"),
        (["plan", "quickstart"], "wanted overrides"),
        (["run", "model.width=8", "train.steps=1", "train.device=tpu"], "wanted auto, cpu, cuda or cuda:N"),
        (["plan", "model.width=8", "train.steps=1", "train.device=cpu:0"], "wanted auto, cpu, cuda or cuda:N"),
        (["run", "data=cifar10", "train.steps=1"], "cifar10"),
        (["status", "results/none"], "no plan in results/none"),
        (["run", "model.width=8", "train.steps=1", "results=/proc/nowhere"], "results=DIR"),
        (["run", "model.width=8", "train.steps=1", "results=/dev/null"], "results=DIR"),
        (["plan", "=5"], "wanted overrides"),
        (["data"], "wanted `scaling data list` or `scaling data prepare`"),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(scaling, arguments, said):
    error = scaling(*arguments, code=2)
    assert said in error
    assert error.startswith("error: ")
    assert len(error.splitlines()) == 1
    assert not records(scaling.folder)


def test_the_list_of_data_sets_says_once_what_to_do_and_fits_a_terminal(scaling):
    lines = scaling("data", "list").splitlines()
    assert "teacher         ready: made in memory" in lines
    assert "imagenet21k     not here: data/imagenet21k" in lines
    assert sum("imagenet21k, stl10: put its images into FOLDER" in line for line in lines) == 1
    assert max(len(line) for line in lines if "/usr/share" not in line) <= 80  # Debian's Fashion-MNIST


def test_folders_of_sweeps_are_named_the_most_alike_first(scaling):
    for name in ("a", "b", "c", "d", "e", "shapes"):
        (scaling.folder / "results" / name).mkdir(parents=True)
        (scaling.folder / "results" / name / "plan.csv").touch()
    error = scaling("status", "results/shape", code=2)
    assert "there are results/shapes, " in error
    assert " and 1 more" in error


def test_a_gpu_that_is_not_here_is_missed_before_anything_starts(scaling, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    error = scaling("run", "model.width=8", "train.steps=1", "train.device=cuda", code=2)
    assert error == "error: found no CUDA device; wanted cuda; set train.device=cpu or auto\n"
    assert not records(scaling.folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe", "UTF-8"),
        (b"defaults: {data: digits}", "not a list"),
        (b"- 1", "without keys"),
        (b"a: [", "not YAML"),
        (b"name: 'a\x07b'", "the character 0x07"),
    ],
)
def test_a_sweep_file_that_is_none_is_named(scaling, content, said):
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps/odd.yaml").write_bytes(content)
    error = scaling("plan", "sweep=odd", code=2)
    assert "odd.yaml" in error
    assert said in error


def test_a_record_cut_in_half_is_named_and_its_run_done_again(swept):
    run_id = json.loads(swept("plan", "sweep=tiny", "--json", "-"))["runs"][0]["run_id"]
    record = swept.folder / "results/runs" / run_id / "record.json"
    whole = json.loads(record.read_text())
    record.write_text(record.read_text()[:200])
    assert f"found a broken record in results/runs/{run_id}/record.json" in swept("status", "results/tiny").replace(
        "\n", ""
    )
    swept("run", "sweep=tiny")
    again = json.loads(record.read_text())
    del whole["how"], again["how"]
    assert again == whole
    assert record.with_name("record.json.broken1").exists()


def test_cancelling_a_sweep_that_nobody_trains_says_so(swept):
    assert "nothing was cancelled" in swept("cancel", "results/tiny")


def test_a_broken_plan_is_set_aside_and_written_anew(swept):
    path = swept.folder / "results/tiny/plan.csv"
    whole = path.read_bytes()
    for broken in (b"", b"\x80\xff", b"a,b\n1,2\n", whole[:400]):
        path.write_bytes(broken)
        assert "not a whole plan" in swept("cancel", "results/tiny", "--where", "width > 8", code=2)
        swept("run", "sweep=tiny")
        assert path.read_bytes() == whole
    assert len(list(path.parent.glob("plan.csv.broken*"))) == 4


@pytest.mark.parametrize("arguments", [["--help"], ["status", "results/tiny"], ["run", "--help"]])
def test_help_and_status_import_next_to_nothing(swept, arguments):
    bounds = {"annotated_types", "typing_extensions"}  # of the launchers' settings
    shown = {"rich", "pygments", "markdown_it", "mdurl", "attr", *bounds} if arguments[0] == "status" else set()
    assert (
        imported("scaling", *arguments, folder=swept.folder) - {"scaling", "analysis", "click"} <= shown
    )  # analysis: how streams spell


@pytest.mark.slow  # tests/test_house.py reads the same in the source
def test_scaling_and_analysis_meet_only_in_files():
    code = (
        "import sys, analysis, analysis.cli, analysis.report.page; "
        "print([name for name in ('torch', 'hydra', 'omegaconf', 'scaling') if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.slow
def test_a_new_milestone_is_listed_and_taken_only_on_request(scaling):
    run = ["model.width=8,12", "train.steps=20", *ONE]
    more = [*run, "train.milestones={unit: steps, at: [10]}"]
    scaling("run", *run)
    before = records(scaling.folder)
    assert json.loads(scaling("plan", *more, "--json", "-"))["total"]["lacking_milestones"] == 2
    assert "2 settled runs lack a milestone" in scaling("run", *more)
    assert records(scaling.folder) == before
    scaling("run", "--redo", *more)
    for run_id, record in records(scaling.folder).items():
        again, once = json.loads(record), json.loads(before[run_id])
        assert [point["step"] for point in again["points"]] == [10, 20]
        assert again["points"][-1]["loss"] == once["points"][-1]["loss"]


@pytest.mark.slow
def test_settled_runs_of_other_counts_are_named_and_trained_again_on_request(scaling):
    run = ["model.width=8,12,16", "train.steps=20", *ONE]
    scaling("run", *run)
    before = records(scaling.folder)
    changed = dict(zip(sorted(before), ("N", "C"), strict=False))
    for run_id, count in changed.items():  # as before its code was edited, or by an earlier version
        record = json.loads(before[run_id])
        path = scaling.folder / "results" / "runs" / run_id / "record.json"
        path.write_text(json.dumps({**record, "counts": {**record["counts"], count: 1}}))
    assert json.loads(scaling("plan", *run, "--json", "-"))["total"]["changed_models"] == 2
    said = scaling("plan", *run)
    assert "2 settled runs had other counts of parameters or FLOPs than the model has now: " in said
    assert all(run_id in said.partition("than the model has now: ")[2] for run_id in changed)
    assert "3 were settled before" in scaling("run", *run)
    scaling("run", "--redo", *run)
    again = records(scaling.folder)
    for run_id, record in before.items():
        assert json.loads(again[run_id])["counts"] == json.loads(record)["counts"]
        assert (again[run_id] == record) == (run_id not in changed)


@pytest.mark.slow
def test_a_hub_that_does_not_answer_is_told_at_once_in_one_line(scaling, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("HF_HOME", str(scaling.folder / "cache"))
    said = scaling.outside("data", "prepare", "cifar10", f"data.root={scaling.folder}", code=2)
    [line] = said.splitlines()
    assert "http://127.0.0.1:9 does not answer, and it is not in the library's cache" in line


def hide(folder, *names):
    for name in names:
        (folder / f"{name}.py").write_text(f"raise SystemExit('{name} is no library')\n")


@pytest.mark.parametrize("name", default_cases(["the module", "the script"], "the script"))
def test_a_file_of_the_user_hides_no_library(scaling, name):
    hide(scaling.folder, "queue", "torch", "json", "click", "yaml")
    command = [sys.executable, "-m", "scaling"]
    if name == "the script":  # python -m itself imports types from the working directory
        hide(scaling.folder, "types")
        command = [str(Path(sys.executable).with_name("scaling"))]
    done = subprocess.run([*command, "plan", "model.width=8,16", "train.steps=2"], cwd=scaling.folder, text=True,
                          capture_output=True, check=False)  # fmt: skip
    assert "2 runs" in done.stdout, done.stderr


def test_a_checkout_takes_its_own_parts_and_elsewhere_the_folder_comes_last(monkeypatch, tmp_path):
    here = str(Path(entry.__file__).parents[1])
    monkeypatch.chdir(here)
    monkeypatch.setattr(sys, "path", [here, "/elsewhere"])
    entry._put_own_folder_last()
    assert sys.path == [here, "/elsewhere"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path), "/elsewhere"])
    entry._put_own_folder_last()
    assert sys.path == ["/elsewhere", str(tmp_path)]


@pytest.mark.slow
def test_a_file_of_the_user_hides_no_library_from_workers(scaling):
    hide(scaling.folder, "queue", "torch", "selectors")
    scaling.outside("run", "model.width=8,16", "train.steps=2", "train.device=cpu")
    assert len(list(scaling.folder.glob("results/runs/*/record.json"))) == 2


def test_what_users_wrote_is_printed_as_it_is(scaling):
    said = scaling("plan", "data=cifar10", "train.steps=5", "data.root=choice('[/old][red]x')", "seed=0,1")
    assert "data.root=[/old][red]x" in said


@pytest.mark.slow
def test_a_printed_command_can_be_given_to_the_shell(scaling):
    said = scaling("run", "model.width=8,9", "train.examples=2000", "name=two words", *ONE)
    assert "scaling report 'results/two words'" in said


@pytest.mark.parametrize(
    ("arguments", "lacking"),
    [
        (("status",), "found no results/NAME; write `scaling status"),
        (("logs", "results/x"), "found no RUN; write `scaling logs"),
        (("tune", "model.width=8"), "found no --range; write `scaling tune"),
        (("fit",), "found no TABLE; write `scaling fit"),
    ],
)
def test_what_a_command_lacks_is_told_with_how_it_is_written(scaling, arguments, lacking):
    assert lacking in scaling(*arguments, code=2)


LOUD = ("model=custom", "model.module=loud_net.net", "model.width=8", "train.examples=2000", "--json", "-")


@pytest.fixture
def loud(scaling):
    """A folder with a model that prints when it is loaded and when it is made."""
    (scaling.folder / "loud_net.py").write_text(
        "from torch import nn\nprint('loaded')\n"
        "def net(shape, outputs, *, width):\n"
        "    print('made')\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(16, width), nn.Linear(width, outputs))\n"
    )
    return scaling


def test_json_stands_alone_on_stdout_whatever_a_module_prints_when_it_is_loaded(scaling, monkeypatch):
    rate = "from scaling.schedules.constant import Constant\nprint('loaded')\nclass Loud(Constant):\n    pass\n"
    (scaling.folder / "loud_rate.py").write_text(rate)
    (scaling.folder / "conf" / "schedule").mkdir(parents=True)
    (scaling.folder / "conf" / "schedule" / "loud.yaml").write_text("_target_: loud_rate.Loud\n")
    monkeypatch.syspath_prepend(scaling.folder)
    assert len(json.loads(scaling("plan", "schedule=loud", "train.steps=2", "--json", "-"))["runs"]) == 1
    assert json.loads(scaling("run", "schedule=loud", "train.steps=2", CPU, "--json", "-"))["point"]


def test_code_that_ends_the_process_while_a_run_is_planned_is_told_and_no_success(scaling, monkeypatch):
    (scaling.folder / "leaving.py").write_text(
        "import sys\nfrom scaling.schedules.constant import Constant\n"
        "class Leaving(Constant):\n    def __post_init__(self):\n        sys.exit(0)\n"
    )
    (scaling.folder / "conf" / "schedule").mkdir(parents=True)
    (scaling.folder / "conf" / "schedule" / "leaving.yaml").write_text("_target_: leaving.Leaving\n")
    monkeypatch.syspath_prepend(scaling.folder)
    monkeypatch.setattr("sys.argv", ["scaling"])
    for verb in (["plan"], ["run"], []):
        said = scaling(*verb, "schedule=leaving", "train.steps=2", code=2)
        assert "sys.exit(0) at " in said
        assert "leaving.py:5" in said


@pytest.mark.parametrize("options", [[], ["--json", "-"]])  # rich prints the one, click the other
def test_a_reader_that_leaves_a_pipe_is_no_fault_of_any_code(scaling, options):
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "scaling", "plan", "train.steps=400", *options]
    done = subprocess.run(command, cwd=scaling.folder, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, "")


@pytest.mark.slow
def test_json_stands_alone_on_stdout_whatever_a_user_s_module_prints(loud, monkeypatch):
    monkeypatch.syspath_prepend(loud.folder)
    assert len(json.loads(loud("plan", *LOUD))["runs"]) == 1
    assert json.loads(loud("run", *LOUD, *ONE))["point"]


@pytest.mark.slow
def test_json_stands_alone_on_stdout_whatever_workers_print(loud):
    assert json.loads(loud.outside("run", *LOUD, "seed=1,2", *ONE))


@pytest.mark.slow
def test_a_command_is_run_at_the_end_of_a_run_and_of_nothing_else(swept):
    told = swept.folder / "told.txt"
    command = f'on_end="echo $SCALING_NAME $SCALING_SETTLED $SCALING_FAILED >> {told}"'
    asked = ("sweep=tiny", "name=ends", "model.width=10", *LEAST, command)
    assert "at the end of `scaling run`: echo $SCALING_NAME" in swept("plan", *asked)
    assert not told.exists()
    said = swept("run", *asked)
    name, settled, failed = told.read_text().split()
    assert (name, failed) == ("ends", "0")
    assert int(settled) > 0
    assert "on_end: `echo" in said
    swept("status", "results/ends")
    swept("run", *asked)  # nothing was left to do
    assert len(told.read_text().splitlines()) == 1
    failing = swept("run", "sweep=tiny", "name=fails", "model.width=14", *LEAST, "on_end='exit 3'")
    assert "on_end: `exit 3` failed with exit code 3" in failing


@pytest.mark.parametrize("own", ["recipe_version=2", "++recipe_version=1", "recipe_version=1,2"])
def test_a_recipe_that_is_given_twice_is_refused(scaling, own):
    said = scaling("plan", "train.steps=5", "--recipe", "1", own, code=2)
    assert f"found --recipe 1 and {own}; wanted one of the two; drop one" in said


def test_a_plan_for_a_card_that_is_not_here(scaling):
    asked = ("plan", "model.width=64,128", "train.budget=1e13", "seed=0,1")
    plan = json.loads(scaling(*asked, "--device", "h100", "--json", "-"))
    assert plan["total"]["workers"] == 1
    assert 1 < plan["total"]["stacked_gain"] <= 4  # two seeds of a width, two widths in parallel
    assert plan["total"]["basis"] == "measured speed of an NVIDIA H100"
    slower = json.loads(scaling(*asked, "--device=a5000", "--json", "-"))
    assert plan["total"]["forecast_seconds"] < slower["total"]["forecast_seconds"]
    assert "did you mean h100?" in scaling("plan", "train.steps=5", "--device", "h10", code=2)


@pytest.mark.slow
def test_a_probe_finds_products_and_augmentation(scaling, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("scaling.forecast.probe._step_seconds", lambda run, where: 1e-3)
    monkeypatch.setattr("scaling.forecast.probe.MOST_ERROR", 99.0)
    found = json.loads(scaling("probe", "--device", "cpu", "--json", "-"))
    assert set(found["products"]) == {"fp32", "bf16"}
    assert found["augment"] > 0
    assert found["sharing"] == {}
