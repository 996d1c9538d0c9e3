"""What a shell offers: verbs, sweeps, members of groups, results folders."""

from __future__ import annotations

import pytest
from click.shell_completion import ShellComplete

from scaling.cli import cli


def offered(*words):
    *before, last = words
    return [item.value for item in ShellComplete(cli, {}, "scaling", "_SCALING_COMPLETE").get_completions(before, last)]


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("st",), ["status"]),
        (("run", "sweep=quick"), ["sweep=quickstart"]),
        (("plan", "sweep=mi"), ["sweep=mine"]),
        (("plan", "sw"), ["sweep="]),
        (("run", "model=bo"), ["model=bottleneck"]),
        (("run", "sweep=mine", "optim=s"), ["optim=sgd"]),
        (("run", "model.wi"), []),
        (("status", "results/"), ["results/mine", "results/paper/x"]),
        (("logs", "results/p"), ["results/paper/x"]),
    ],
)
def test_what_begins_with_the_word_is_offered(words, wanted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "mine.yaml").write_text("sweep: {}")
    for name in ("mine", "paper/x", "runs/abc"):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "plan.csv").touch()
    assert offered(*words) == wanted
