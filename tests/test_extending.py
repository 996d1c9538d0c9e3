"""docs/extending.md, tried as a new user would: its files in an empty folder, its commands by the installed script."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from scaling.compose.session import session
from scaling.dispatch.order import order_of
from scaling.dispatch.slurm.snapshot import LARGE, import_path, take_snapshot
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.forecast.learned import shape_of
from scaling.plan.expand import expand
from tests.conftest import CommandLine

PAGE = Path(__file__).parents[1] / "docs" / "extending.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUICK = ["model.width=4", "train.examples=1024", "seed=0", "launcher.workers=1", "train.device=cpu"]  # not minutes
SMALL = {"sweep=bias": QUICK}


def blocks(*languages: str) -> list[str]:
    return [text for language, text in BLOCK.findall(PAGE.read_text()) if language in languages]


def commands() -> list[list[str]]:
    lines = [line for text in blocks("sh") for line in text.splitlines() if line.startswith("scaling ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder with the files of the page."""
    folder = tmp_path_factory.mktemp("own")
    for text in blocks("python", "yaml"):
        first, _, rest = text.partition("\n")
        path = folder / first.removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(rest)
    for i in range(280):  # the images that the page takes for granted
        place = folder / "pets" / ("train" if i < 200 else "test") / ("cat" if i % 2 else "dog")
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 24), (40 + i // 2, 120 * (i % 2), 90)).save(place / f"{i}.png")
    return folder


def scaling(folder, *arguments):
    script = Path(sys.executable).with_name("scaling")
    done = subprocess.run([script, *arguments], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def inside(folder, monkeypatch):
    """The command line in that folder, in this process."""
    monkeypatch.syspath_prepend(str(folder))
    return CommandLine(folder)


@pytest.mark.slow
def test_the_script_finds_what_lies_in_the_folder(folder):
    assert '"family": "shallow"' in scaling(
        folder, "plan", "model=shallow", "data=spirals", "train.steps=1", "--json", "-"
    )


def test_a_sweep_of_a_module_of_one_s_own_runs_in_workers(folder, inside):
    inside("run", "sweep=bias", *SMALL["sweep=bias"], "name=small")
    records = [json.loads(path.read_text()) for path in folder.glob("results/runs/*/record.json")]
    found = {(record["config"]["model"].get("module"), record["config"]["model"]["width"]) for record in records}
    assert found == {("my_nets.ConvNet", 4), (None, 4)}
    assert {record["status"] for record in records} == {"finished"}


def test_the_convolution_is_counted_by_hand(inside):
    arguments = ["model=conv", "data=mnist1d", "model.width=6", "train.steps=2", "--json", "-"]
    [run] = json.loads(inside("plan", *arguments))["runs"]
    assert run["family"] == "ConvNet"
    kernels = [1 * 6 * 5, 6 * 6 * 5, 6 * 6 * 5]
    assert run["N"] == sum(kernels) + 30 * 10
    assert run["N_total"] == run["N"] + 3 * 6 + 10
    assert run["N_body"] == sum(kernels[1:])
    forward = sum(2 * kernel * points for kernel, points in zip(kernels, (20, 10, 5), strict=True)) + 2 * 30 * 10
    assert run["C"] == 3 * forward * 256


def test_jobs_of_a_cluster_get_a_copy_of_one_s_own_modules(folder, monkeypatch, tmp_path):
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    with session() as loader:
        runs = [
            *expand(loader, ["model=conv", "data=mnist1d", "train.steps=1"]).runs,
            *expand(loader, ["model=shallow", "data=spirals", "train.steps=1"]).runs,
        ]
    assert len({shape_of(run) for run in runs}) == 2  # their forecasts rest on runs of the same shape
    copy_code(tmp_path / "code", SweepFolder(tmp_path, "own"), runs)
    copied = {path.name for path in (tmp_path / "code").glob("my_*.py")}
    assert copied == {"my_nets.py", "my_data.py", "my_family.py"}


def test_jobs_get_a_copy_of_what_one_s_own_modules_import(tmp_path, monkeypatch):
    (tmp_path / "outer_net.py").write_text("from inner_layers import Layers\n\nclass Net(Layers):\n    pass\n")
    (tmp_path / "inner_layers.py").write_text(
        "from torch import nn\n\nclass Layers(nn.Linear):\n"
        "    def __init__(self, shape, outputs):\n        super().__init__(shape[0], outputs)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with session() as loader:
        runs = expand(loader, ["model=custom", "model.module=outer_net.Net", "data=teacher", "train.steps=1"]).runs
    copy_code(tmp_path / "code", SweepFolder(tmp_path, "own"), runs)
    assert {path.name for path in (tmp_path / "code").glob("*_*.py")} == {"outer_net.py", "inner_layers.py"}


def test_jobs_get_a_copy_of_a_package_without_an_init_file(tmp_path, monkeypatch):
    (tmp_path / "bare_nets").mkdir()
    (tmp_path / "bare_nets" / "net.py").write_text(
        "from torch import nn\n\ndef made(outputs):\n    return nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with session() as loader:
        runs = expand(loader, ["model=custom", "model.module=bare_nets.net.made", "data=teacher", "train.steps=1"]).runs
    copy_code(tmp_path / "code", SweepFolder(tmp_path, "own"), runs)
    assert (tmp_path / "code" / "bare_nets" / "net.py").is_file()


@pytest.mark.parametrize("results", ["bare_nets/results", "bare_nets"])
def test_the_copy_of_a_package_holds_no_results_and_no_copy_of_itself(tmp_path, monkeypatch, results):
    nets = tmp_path / "bare_nets"
    nets.mkdir()
    (nets / "net.py").write_text("from torch import nn\n\ndef made(outputs):\n    return nn.LazyLinear(outputs)\n")
    folder = SweepFolder(tmp_path / results, "own")
    (folder.run("0").path).mkdir(parents=True)
    (nets / "again").symlink_to(".")
    (nets / "lost").symlink_to("nowhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with session() as loader:
        runs = expand(loader, ["model=custom", "model.module=bare_nets.net.made", "data=teacher", "train.steps=1"]).runs
    code = folder.jobs / "1" / "code"
    copy_code(code, folder, runs)
    assert {path.name for path in (code / "bare_nets").iterdir()} == {"net.py"}


def test_large_data_in_a_package_is_linked_and_code_is_copied(tmp_path, monkeypatch):
    nets = tmp_path / "bare_nets"
    nets.mkdir()
    (nets / "net.py").write_text("from torch import nn\n\ndef made(outputs):\n    return nn.LazyLinear(outputs)\n")
    for name, size in (("images.npy", LARGE + 1), ("long.py", LARGE + 1), ("labels.json", 10)):
        (nets / name).write_bytes(b"#" * size)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with session() as loader:
        runs = expand(loader, ["model=custom", "model.module=bare_nets.net.made", "data=teacher", "train.steps=1"]).runs
    copy_code(tmp_path / "code", SweepFolder(tmp_path, "own"), runs)
    copied = {path.name: path.is_symlink() for path in (tmp_path / "code" / "bare_nets").iterdir()}
    assert copied == {"images.npy": True, "labels.json": False, "long.py": False, "net.py": False}
    assert (tmp_path / "code" / "bare_nets" / "images.npy").stat().st_size == LARGE + 1


def test_of_a_package_in_two_folders_the_files_that_python_takes_are_copied_and_its_own_stay(tmp_path, monkeypatch):
    sizes = {"one": {"images.npy": LARGE + 1, "a.npy": LARGE + 1}, "two": {"images.npy": LARGE + 2, "a.npy": 1}}
    monkeypatch.chdir(tmp_path)
    for place in ("two", "one"):
        nets = tmp_path / place / "bare_nets"
        nets.mkdir(parents=True)
        (nets / "net.py").write_text(
            f"from torch import nn\n\ndef made(outputs):\n    return nn.LazyLinear({place!r})\n"
        )
        for name, size in sizes[place].items():
            (nets / name).write_bytes(b"#" * size)
        monkeypatch.syspath_prepend(str(tmp_path / place))
    with session() as loader:
        runs = expand(loader, ["model=custom", "model.module=bare_nets.net.made", "data=teacher", "train.steps=1"]).runs
    copy_code(tmp_path / "code", SweepFolder(tmp_path, "own"), runs)
    copied = tmp_path / "code" / "bare_nets"
    assert "one" in (copied / "net.py").read_text()
    for name, size in sizes["one"].items():
        assert (copied / name).stat().st_size == (tmp_path / "one" / "bare_nets" / name).stat().st_size == size


def test_why_the_code_cannot_be_copied_is_said(tmp_path, monkeypatch):
    nets = tmp_path / "bare_nets"
    nets.mkdir()
    (nets / "net.py").write_text("from torch import nn\n\ndef made(outputs):\n    return nn.LazyLinear(outputs)\n")
    os.mkfifo(nets / "pipe")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    with session() as loader:
        runs = expand(loader, ["model=custom", "model.module=bare_nets.net.made", "data=teacher", "train.steps=1"]).runs
    with pytest.raises(UserError, match="is a named pipe"):
        copy_code(tmp_path / "code", SweepFolder(tmp_path, "own"), runs)


def copy_code(target, folder, runs):
    take_snapshot(target, order_of(folder, runs).entries, folder)


def test_a_path_that_the_search_path_cannot_hold_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a:b").mkdir()
    (tmp_path / "$(touch here)").mkdir()
    with pytest.raises(UserError, match="colon"):
        import_path(tmp_path / "a:b" / "code")
    line = import_path(tmp_path / "$(touch here)" / "code")
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    assert not (tmp_path / "here").exists()


@pytest.mark.slow
def test_every_command_of_the_page_works(folder):
    for arguments in commands():
        scaling(folder, *arguments, *(SMALL.get(arguments[1], []) if arguments[0] in ("plan", "run") else []))
    records = [json.loads(path.read_text()) for path in folder.glob("results/runs/*/record.json")]
    assert {record["status"] for record in records} == {"finished"}
    assert (folder / "results/bias/report.html").is_file()
