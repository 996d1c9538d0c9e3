"""The pages of docs/: all are in the site's navigation, and the sweep that they begin with can be planned."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import yaml

import scaling.analysis

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"


def pages(nav: object) -> list[str]:
    if isinstance(nav, str):
        return [nav]
    parts = nav.values() if isinstance(nav, dict) else nav
    return [page for part in parts for page in pages(part)]


def test_every_page_is_in_the_navigation_once():
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    written = [path.name for path in DOCS.glob("*.md")]
    assert sorted(pages(site["nav"])) == sorted([*written, "index.md", "changelog.md", "contributing.md"])
    assert site["strict"]


def test_every_name_for_notebooks_is_on_the_page_of_python():
    shown = re.findall(r"^::: (.*)\.(\w+)$", (DOCS / "api.md").read_text(), re.MULTILINE)
    places = {name: place for place, name in shown}
    assert set(scaling.analysis.__all__) <= set(places)
    for name in scaling.analysis.__all__:
        assert getattr(import_module(places[name]), name) is getattr(scaling.analysis, name)


def test_the_first_sweep_of_real_data_can_be_planned(scaling):
    [text] = re.findall(r"```yaml\n# sweeps/mine.yaml:.*?\n(.*?)```", (DOCS / "first_data.md").read_text(), re.DOTALL)
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "mine.yaml").write_text(text)
    rng = np.random.default_rng(0)
    np.savez(scaling.folder / "mine.npz", x_train=rng.standard_normal((50, 20)), y_train=rng.integers(0, 3, 50))
    said = scaling("plan", "sweep=mine")
    assert "54 runs" in said
    assert "model.width=256" in scaling("plan", "sweep=mine", "--all")


def test_readme_s_own_sweep_has_the_runs_that_its_commands_name(scaling):
    readme = (ROOT / "README.md").read_text()
    [text] = re.findall(r"```yaml\n# sweeps/mine.yaml:.*?\n(.*?)```", readme, re.DOTALL)
    (scaling.folder / "sweeps").mkdir()
    (scaling.folder / "sweeps" / "mine.yaml").write_text(text)
    runs = json.loads(scaling("plan", "sweep=mine", "--json", "-"))["runs"]
    widths = {run["width"] for run in runs}
    assert len({run["budget"] for run in runs}) >= 6  # fewer points are weak for the law of the best loss in C
    named = re.findall(r"^scaling first results/mine model.width=(\d+)", readme, re.MULTILINE)
    assert named
    assert {int(width) for width in named} <= widths


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((DOCS / "examples").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_notebook_runs_from_top_to_bottom(path, scaling):
    cells = json.loads(path.read_text())["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    done = subprocess.run([sys.executable, "-c", code], cwd=scaling.folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert all(not cell.get("outputs") for cell in cells)


@pytest.mark.slow
def test_a_folder_of_images_becomes_a_law_by_the_page(scaling):
    """Every command of its section, as it stands there: 5,000 images, 30 runs, the law of the error."""
    section = (DOCS / "first_data.md").read_text().partition("## A folder of images")[2].partition("\n## ")[0]
    for kind, name, text in re.findall(r"```(python|yaml)\n# ([\w./]+):.*?\n(.*?)```", section, re.DOTALL):
        path = scaling.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        if kind == "python":
            subprocess.run([sys.executable, name], cwd=scaling.folder, check=True)
    lines = [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines()]
    commands = [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("scaling ")]
    said = {words[0]: scaling(*words) for words in commands}
    assert list(said) == ["data", "plan", "run", "report", "fit"]
    assert "30 runs" in said["plan"]
    assert "exponent" in said["fit"]
    assert "certificate" in said["fit"]
