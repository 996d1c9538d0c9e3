"""What a shell offers: verbs, sweeps, members of groups, results folders."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from scaling.__main__ import run
from scaling.cli import cli
from scaling.commands.completion.bash import WholeWords


def offered(*words):
    *before, last = words
    return [item.value for item in ShellComplete(cli, {}, "scaling", "_SCALING_COMPLETE").get_completions(before, last)]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("st",), ["status"]),
        (("run", "sweep=quick"), ["sweep=quickstart"]),
        (("plan", "sweep=zeb"), ["sweep=zebra"]),
        (("plan", "sw"), ["sweep="]),
        (("run", "model=bo"), ["model=bottleneck"]),
        (("run", "sweep=zebra", "optim=s"), ["optim=sgd"]),
        (("run", "model.wi"), ["model.width="]),
        (("run", "model=bottleneck", "model.ex"), ["model.expansion="]),
        (("run", "model=none", "model.wi"), []),
        (("run", "tr"), ["train."]),
        (("data", "prepare", "fash"), ["fashion_mnist"]),
        (("fit", "t.csv", "--law", "power,chin"), ["power,chinchilla"]),
        (("watch", "results/m"), ["results/mine"]),
        (("status", "results/"), ["results/mine", "results/paper/x"]),
        (("logs", "results/p"), ["results/paper/x"]),
    ],
)
def test_what_begins_with_the_word_is_offered(words, wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "zebra.yaml").write_text("sweep: {}")
    for name in ("mine", "paper/x", "runs/abc"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "plan.csv").touch()
    assert offered(*words) == wanted


@pytest.mark.parametrize(
    ("line", "breaks", "wanted"),
    [
        ("scaling run sweep=quick", " =:", ["plain,quickstart"]),
        ("scaling run sweep=quick", " ", ["plain,sweep=quickstart"]),
        ("scaling run optim=lion model=bo", " =:", ["plain,bottleneck"]),
        ("scaling run optim=lion mod", " =:", ["plain,model="]),
        ("scaling stat", " =:", ["plain,status"]),
        ("scaling fit res", " =:", ["file,res"]),
        ("scaling data prepare ", " =:", ["plain,"]),
    ],
)
def test_bash_is_given_what_stands_behind_its_last_break(line, breaks, wanted, monkeypatch):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_WORDBREAKS", breaks)
    said = WholeWords(cli, {}, "scaling", "_SCALING_COMPLETE").complete().splitlines()
    assert said == wanted if wanted != ["plain,"] else {"plain,cifar10", "plain,fashion_mnist"} < set(said)


@pytest.mark.parametrize(("instruction", "said"), [("bash_source", "complete -o nosort"), ("bash_complete", "status")])
def test_the_command_line_completes_and_ends_well(instruction, said, monkeypatch, capsys):
    monkeypatch.setenv("_SCALING_COMPLETE", instruction)
    monkeypatch.setenv("COMP_LINE", "scaling stat")
    with pytest.raises(SystemExit) as left:
        run([])
    assert left.value.code == 0
    assert said in capsys.readouterr().out
