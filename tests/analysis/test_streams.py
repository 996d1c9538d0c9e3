from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest

from analysis.streams import spell_out


@pytest.mark.parametrize("module", ["analysis", "scaling"])
def test_a_command_whose_streams_are_closed_or_full_ends_without_a_traceback(module, tmp_path):
    rows = "".join(f"{2**i},{1 + 2**-i}\n" for i in range(9))
    (tmp_path / "t.csv").write_text(f"N,loss\n{rows}")
    fit = f"{sys.executable} -m {module} fit t.csv --x N --law power --resamples 0"
    env = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    for streams, code in ((">&- <&-", 0), (">/dev/full", 2), ("| true", 0)):
        done = subprocess.run(
            ["sh", "-c", f"{fit} {streams}"], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("ascii", "C^-0.154 [-0.170, -0.140], 3x10^8 and 7x10^-21 ... ?"),
        ("cp1252", "C^-0.154 [-0.170, -0.140], 3×10^8 and 7×10^-21 … ?"),
        ("gbk", "C^-0.154 [-0.170, -0.140], 3×10^8 and 7×10^-21 … ?"),
        ("utf-8", "C^−0.154 [−0.170, −0.140], 3×10⁸ and 7×10⁻²¹ … ♥"),
    ],
)
def test_signs_and_powers_are_written_in_any_encoding(encoding, said):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    spell_out([stream, None])
    stream.write("C^−0.154 [−0.170, −0.140], 3×10⁸ and 7×10⁻²¹ … ♥")
    stream.seek(0)
    assert stream.read().replace("²¹", "21" if encoding == "cp1252" else "²¹") == said
