"""Files and folders are written whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from scaling.folders import append_line, atomic_folder, exists, read_lines


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_takes_its_place_when_it_is_whole(tmp_path):
    path = tmp_path / "deep" / "made"
    for text in ("first", "second"):
        with atomic_folder(path) as aside:
            (aside / "file").write_text(text)
            assert text == "second" or not path.exists()
        assert (path / "file").read_text() == text
    assert names(path.parent) == ["made"]


def test_a_file_that_cannot_be_looked_at_is_not_called_missing(tmp_path):
    (tmp_path / "file").touch()
    there, absent = [tmp_path, tmp_path / "file"], [tmp_path / "none", tmp_path / "file" / "below"]
    assert [exists(path) for path in there + absent] == [True, True, False, False]
    with pytest.raises(OSError, match="File name too long"):
        exists(tmp_path / ("a" * 300))


def test_what_fails_leaves_nothing_and_changes_nothing(tmp_path):
    path = tmp_path / "made"
    path.mkdir()
    (path / "file").touch()

    def run_out_of_space():
        with atomic_folder(path) as aside:
            (aside / "half").touch()
            raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        run_out_of_space()
    assert names(tmp_path) == ["made"]
    assert names(path) == ["file"]


def test_a_line_that_was_cut_takes_no_other_with_it(tmp_path):
    path = tmp_path / "attempts.jsonl"
    append_line(path, {"a": 1})
    with path.open("a") as file:
        file.write('{"b": ')  # as a full disk leaves it
    append_line(path, {"c": 3})
    append_line(path, {"d": 4})
    assert list(read_lines(path)) == [{"a": 1}, {"c": 3}, {"d": 4}]


def test_the_folder_of_a_faster_process_stays(tmp_path, monkeypatch):
    path = tmp_path / "made"
    with atomic_folder(path) as aside:
        (aside / "ours").touch()
        path.mkdir()
        (path / "theirs").touch()
        monkeypatch.setattr("scaling.folders.shutil.rmtree", lambda *_, **__: None)  # they came right after this
    assert names(path) == ["theirs"]


def test_what_dead_processes_left_is_removed_and_what_living_ones_write_is_not(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    host = os.uname().nodename
    for name in (f".made.{host}.{dead.pid}.1", f".made.{host}.{os.getpid()}.1", f".other.{host}.{dead.pid}.1"):
        (tmp_path / name).mkdir()
    with atomic_folder(tmp_path / "made"):
        pass
    assert names(tmp_path) == sorted(["made", f".made.{host}.{os.getpid()}.1", f".other.{host}.{dead.pid}.1"])
