"""A bundle is of one piece, the same each time, and tells nobody where it was made."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tarfile

import pandas as pd
import pytest

from analysis import fit, load_table
from analysis.archive import pack
from analysis.errors import UserError
from analysis.publish.private import published, refuse_private, without_places


@pytest.mark.parametrize(
    ("text", "published"),
    [
        ("data.path=/home/me/sets/x.npz", "data.path=…/x.npz"),
        (
            "python /opt/a/b.py 'C:\\Users\\me\\x.csv'",
            "python …/b.py 'C:\\Users\\me\\x.csv'".replace("C:\\Users\\me\\", "…/"),
        ),
        ('{"root": "/data/sets/"}', '{"root": "…/"}'),
        ("lr = 1e-2 * (N / 2510) ** -0.28", "lr = 1e-2 * (N / 2510) ** -0.28"),
        ("see https://a.org/b/c.html, results/mine/plan.csv, ~/sets/x and S-6/Wi-1024", None),
        ("and/or; 3/4/5", None),
    ],
)
def test_absolute_paths_are_cut_down_to_their_last_part(text, published):
    assert without_places(text) == (text if published is None else published)


def test_a_table_is_published_without_names_of_machines():
    table = pd.DataFrame(
        {
            "host": ["node7", "node7"],
            "User": ["me", "me"],
            "their_host": ["box", "box"],
            "reason": ["the worker on node7 died", "no /scratch/me/file"],
            "overrides": ["data.root=/home/me/sets", "node70=1"],
            "N": [1, 2],
        }
    )
    assert published(table).to_dict("list") == {
        "reason": ["the worker on a host died", "no …/file"],
        "overrides": ["data.root=…/sets", "node70=1"],
        "N": [1, 2],
    }


def test_a_text_that_names_a_folder_is_refused_and_a_picture_is_not_read(tmp_path):
    text = f"run in {tmp_path}".encode()
    refuse_private({"a.png": text, "b.csv": b"run in results"}, [tmp_path])
    with pytest.raises(UserError, match=r"named in b\.csv"):
        refuse_private({"a.png": text, "b.csv": text}, [tmp_path])


def test_a_bundle_is_a_table_to_every_verb(tmp_path, scaling):
    table = pd.DataFrame({"run_id": ["000000000001", "1e5000000000"], "N": [10, 20], "loss": [0.1 + 0.2, 1 / 3]})
    parquet = io.BytesIO()
    table.to_parquet(parquet)
    (tmp_path / "b.tar.gz").write_bytes(pack("mine", {"table.parquet": parquet.getvalue()}))
    pd.testing.assert_frame_equal(load_table(tmp_path / "b.tar.gz"), table)
    scaling("collect", "b.tar.gz", "-o", "t.csv")
    assert (tmp_path / "t.csv").read_text().splitlines()[1].startswith("000000000001,10,")
    assert "wanted -o FILE" in scaling("collect", "b.tar.gz", code=2)
    (tmp_path / "b.tar.gz").write_bytes(pack("mine", {"plan.csv": b""}))
    assert "found no table.parquet" in scaling("fit", "b.tar.gz", code=2)
    assert "found no plan" in scaling("bundle", ".", code=2)


@pytest.fixture
def sweep(scaling):
    """Twelve runs trained elsewhere, whose names hold a path, with a command line that does."""
    rows = [(N, D, 1.5 + 40 * N**-0.3 + 90 * D**-0.3) for N in (1000, 4000, 16000, 64000) for D in (2e4, 8e4, 3.2e5)]
    table = pd.DataFrame(rows, columns=["N", "D", "loss"]).assign(C=lambda t: 6 * t["N"] * t["D"], note="/home/me/a/b")
    table.to_csv(scaling.folder / "theirs.csv", index=False)
    scaling("import", "theirs.csv", "--as", "theirs")
    folder = scaling.folder / "results" / "theirs"
    (folder / "sweep.yaml").write_text(f"# How does the loss fall?\n# command: scaling run results={folder}/x\n")
    return folder


@pytest.mark.slow
def test_a_bundle_is_of_one_piece_and_tells_nothing_of_where_it_was_made(sweep, scaling):
    told = json.loads(scaling("bundle", "results/theirs", "--resamples", "20", "--json", "-"))
    with tarfile.open(scaling.folder / told["path"]) as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    assert {"plan.csv", "sweep.yaml", "table.csv", "fit.json", "report.html", "versions.json", "MANIFEST"} <= {
        name.removeprefix("theirs/") for name in files
    }
    assert any(name.startswith("theirs/figures/") for name in files)
    assert not [name for name, content in files.items() if str(scaling.folder).encode() in content]
    assert not [name for name, content in files.items() if b"/home/me" in content]
    assert "scaling report theirs.tar.gz" in files["theirs/report.html"].decode()
    assert "How does the loss fall?" in files["theirs/report.html"].decode()
    assert {row["note"] for row in csv.DictReader(io.StringIO(files["theirs/table.csv"].decode()))} == {"…/b"}
    laws = [fit(load_table(source), law="chinchilla", resamples=0) for source in (sweep, scaling.folder / told["path"])]
    assert laws[0].params == laws[1].params


@pytest.mark.slow
def test_the_same_results_give_the_same_bytes_wherever_they_lie(sweep, scaling):
    first = json.loads(scaling("bundle", "results/theirs", "--resamples", "20", "--json", "-"))
    (scaling.folder / "moved").mkdir()
    shutil.move(scaling.folder / "results", scaling.folder / "moved" / "results")
    again = scaling("bundle", "moved/results/theirs", "--resamples", "20", "-o", "again.tgz", "--json", "-")
    assert json.loads(again)["sha256"] == first["sha256"]
    page = scaling("report", "again.tgz", "--resamples", "20").splitlines()[-1]
    assert (scaling.folder / page).is_file()
