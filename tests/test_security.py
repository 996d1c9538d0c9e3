"""Attacks by what others can write: a sweep file, a queue, a folder of results, a checkpoint."""

from __future__ import annotations

import io
import os
import stat
import zipfile

import pytest
import torch

from scaling.compose.bounds import check_size
from scaling.config import load_class
from scaling.dispatch.claims.claim import acquire
from scaling.dispatch.queue import check_owner
from scaling.errors import UserError, printable
from scaling.folders import RunFolder, SweepFolder, append_line, check_writable
from scaling.models.custom import load_factory
from scaling.plan.grid import Block, check_cells, spaced
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint


def test_a_plan_calls_nothing_of_python_s_own_library(scaling):
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "evil.yaml").write_text(
        "# evil\nmodel: {_target_: scaling.models.custom.Custom, module: os.system, "
        "kwargs: {command: touch was_here}}\ntrain: {steps: 1}\nsweep: {grid: [{product: {seed: [0]}}]}\n"
    )
    for verb in ("plan", "run"):
        said = scaling(verb, "model=custom", "model.module=os.system", "model.kwargs={command: touch was_here}", code=2)
        assert "a sweep may call nothing else" in said
        scaling(verb, "sweep=evil", code=2)
    assert not (scaling.folder / "was_here").exists()


@pytest.mark.parametrize("path", ["subprocess.run", "numpy.fromfile", "torch.load", "builtins.exec"])
def test_only_torch_modules_and_one_s_own_functions_are_called(path):
    with pytest.raises(UserError, match="a sweep may call nothing else"):
        load_factory(path)
    assert load_factory("torch.nn.Linear") is torch.nn.Linear


def test_what_one_s_own_file_has_imported_is_not_its_own(tmp_path, monkeypatch):
    (tmp_path / "file_of_mine.py").write_text("from os import system\n\ndef net():\n    return None\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match="a sweep may call nothing else"):
        load_factory("file_of_mine.system")
    assert load_factory("file_of_mine.net")() is None


def test_no_target_is_of_python_s_own_library():
    with pytest.raises(UserError, match="Python's own library"):
        load_class("subprocess.Popen")


def test_nothing_is_written_through_links(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "attempts.jsonl").symlink_to(outside / "profile")
    with pytest.raises(OSError, match="symbolic links"):
        append_line(tmp_path / "attempts.jsonl", {})
    run = tmp_path / "results" / "runs" / "0"
    run.parent.mkdir(parents=True)
    run.symlink_to(outside)
    with pytest.raises(OSError, match="symbolic links"):
        acquire(RunFolder(run).claim)
    assert list(outside.iterdir()) == []


def test_a_queue_of_somebody_else_is_refused(tmp_path, monkeypatch):
    queue = tmp_path / "queue.jsonl"
    check_owner(queue)
    queue.write_text("")
    check_owner(queue)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(UserError, match="which is not yours"):
        check_owner(queue)


def test_a_checkpoint_that_grows_when_it_is_read_is_set_aside(tmp_path, monkeypatch):
    path, state = tmp_path / "checkpoint", {"weights": torch.zeros(1 << 20)}
    write_checkpoint(path, "a", state)
    assert read_checkpoint(path, "a") is not None

    def compressed(content, buffer):
        plain = io.BytesIO()
        save(content, plain)
        with zipfile.ZipFile(plain) as parts, zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as small:
            for part in parts.infolist():
                small.writestr(part.filename, parts.read(part))

    save = torch.save
    monkeypatch.setattr(torch, "save", compressed)
    write_checkpoint(path, "a", state)
    assert path.stat().st_size < 1 << 16
    assert read_checkpoint(path, "a") is None
    assert path.with_name("checkpoint.broken1").exists()


def test_aliases_ranges_and_grids_are_counted_before_they_are_made(tmp_path):
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
    (tmp_path / "bomb.yaml").write_text(bomb)
    with pytest.raises(UserError, match="aliases stand for"):
        check_size(tmp_path / "bomb.yaml")
    (tmp_path / "fine.yaml").write_text("a: &a [1, 2]\nb: *a\n")
    check_size(tmp_path / "fine.yaml")
    for spec in ({"from": 0, "to": 1e12, "step": 1}, {"from": 0, "to": 1, "num": 10**12}):
        with pytest.raises(UserError, match=r"found a range of 1e\+12 values"):
            spaced(spec, where="seed")
    with pytest.raises(UserError, match="found a grid of"):
        check_cells([Block("product", {"seed": range(2000), "model.width": range(2000)})])


def test_results_are_made_for_their_owner_alone_and_existing_ones_keep_their_rights(tmp_path):
    check_writable(SweepFolder(tmp_path / "new", "a"))
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o700
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o2770)
    check_writable(SweepFolder(tmp_path / "shared", "a"))
    assert stat.S_IMODE((tmp_path / "shared").stat().st_mode) == 0o2770


def test_what_others_wrote_does_not_steer_the_terminal(scaling):
    assert printable("a\x1b[2Jb\tc\n") == "a\N{REPLACEMENT CHARACTER}[2Jb\tc\n"
    assert "\x1b" not in scaling("status", "results/\x1b[2J", code=2)
