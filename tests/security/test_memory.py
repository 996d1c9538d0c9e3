"""What would fill the memory or compute for ever is refused: checkpoints, files, ranges, expressions, packed tables."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile

import pandas as pd
import pytest
import torch

from analysis.errors import UserError as AnalysisError
from analysis.table.expressions import evaluate
from analysis.table.files.read_file import read_file
from scaling.compose.yaml_size import check_size
from scaling.errors import UserError
from scaling.plan.expressions import parse
from scaling.plan.grid import Block, check_cells, spaced
from scaling.train.output.checkpoint import read_checkpoint, write_checkpoint


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
        check_cells([Block({"seed": range(2000), "model.width": range(2000)})])


@pytest.mark.parametrize("levels", [60, 5000, 400_000])
def test_a_file_that_is_nested_without_end_is_refused(tmp_path, levels):
    (tmp_path / "deep.yaml").write_text(f"a: {'{a: ' * levels}1{'}' * levels}\n")
    with pytest.raises(UserError, match="nested deeper than 50 levels"):
        check_size(tmp_path / "deep.yaml")
    inner = "&a0 [x]"
    for n in range(1, 30):
        inner = f"&a{n} [{inner}, {', '.join([f'*a{n - 1}'] * 9)}]"
    (tmp_path / "bomb.yaml").write_text(f"a: {inner}\n")
    with pytest.raises(UserError, match="aliases stand for"):
        check_size(tmp_path / "bomb.yaml")


def test_an_override_that_is_nested_without_end_is_refused(scaling):
    override = f"model={'{a: ' * 500}1{'}' * 500}"
    assert "found an override that is nested too deeply" in scaling.outside("plan", override, code=2)


@pytest.mark.parametrize("expression", ['"a" * 99999999999', "'%999999999d' % 1", "width * '9'", "-'a' + 1"])
def test_expressions_of_a_sweep_compute_with_numbers_alone(expression):
    with pytest.raises(UserError, match="cannot be computed"):
        parse(expression, where="set").evaluate(lambda name: 8)


def test_a_sweep_s_whole_numbers_end(tmp_path):
    with pytest.raises(UserError, match="beyond all bounds"):
        parse(f"0x{'f' * 4000} * 2", where="set").evaluate(lambda name: 8)
    file = tmp_path / "evil.yaml"
    file.write_text(f"a: &a [1]\nb: [*a, {{c: 0x{'f' * 9999}}}]\n")
    with pytest.raises(UserError, match="line 2, a number of 10,001 digits"):
        check_size(file)


@pytest.mark.parametrize(
    "expression",
    ["((9**400)**400)**400 > N", '"a"*9999999999 == "b"', '"%999999999d" % 1 == "b"', "[1]*999999999 == N"],
)
def test_expressions_over_a_table_fill_no_memory(expression):
    with pytest.raises(AnalysisError, match=r"cannot be computed|arithmetic of a text"):
        evaluate(pd.DataFrame({"N": [1, 2]}), expression)
    assert list(evaluate(pd.DataFrame({"N": [8, 9]}), "N == 2**3")) == [True, False]


@pytest.mark.parametrize("ending", ["csv.gz", "csv.bz2", "csv.xz", "zip"])
def test_a_packed_table_that_fills_the_memory_is_refused(tmp_path, monkeypatch, ending):
    monkeypatch.setattr("analysis.table.files.read_file.LARGEST", 1000)
    path, text = tmp_path / f"t.{ending}", b"N,loss\n" + b"1,2\n" * 1000
    if ending == "zip":
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("t.csv", text)
    else:
        path.write_bytes({"csv.gz": gzip, "csv.bz2": bz2, "csv.xz": lzma}[ending].compress(text))
    with pytest.raises(AnalysisError, match="found more than 1,000 bytes packed"):
        read_file(path)
