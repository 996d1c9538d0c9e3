"""What others get: the wheel, the sdist, and the files that say which version it is."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

from scaling import __version__

ROOT = Path(__file__).parents[1]


def test_version_is_one():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    released = re.findall(r"^## \[(\d[^\]]*)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert citation["version"] == released[0] == __version__


@pytest.mark.slow
def test_wheel_and_sdist_hold_all(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling builds them: pip install -e '.[dev]'")
    build = [sys.executable, "-m", "hatchling", "build", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,), (sdist,) = tmp_path.glob("*.whl"), tmp_path.glob("*.tar.gz")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= {"scaling/py.typed", "analysis/py.typed", "scaling/sweeps/quickstart.yaml"}
    assert names >= {"scaling/conf/config.yaml", f"scaling-{__version__}.dist-info/licenses/LICENSE"}
    assert {name.partition("/")[0] for name in names} == {"scaling", "analysis", f"scaling-{__version__}.dist-info"}
    with tarfile.open(sdist) as archive:
        kept = {name.partition("/")[2] for name in archive.getnames()}
    for name in ("docs/laws.md", "docs/figures/quickstart.png", "CHANGELOG.md", "CITATION.cff", "scaling/py.typed"):
        assert name in kept
