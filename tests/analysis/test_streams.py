from __future__ import annotations

import io

import pytest

from analysis.streams import spell_out


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
