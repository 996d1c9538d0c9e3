"""The files of a bundle: the plan, the table, and a new report made from the published table."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd

from analysis.archive import pack
from analysis.errors import UserError
from analysis.publish.private import published, refuse_private, refuse_secrets, without_places
from analysis.report.law_results import LawOptions
from analysis.report.page import write_report
from analysis.table.read import load_table
from analysis.table.results import find_runs

TEXTS = ("sweep.yaml", "import.json")
"""Text files of a sweep that are published, if they exist."""
READ_BY_THE_REPORT = ("efficiency.csv", "activations.csv", "rounds")
"""Files that the report reads in addition to the table."""
PACKAGES = ("numpy", "scipy", "pandas", "matplotlib", "pyarrow")
README = """\
# {name}

{runs} runs, in one archive made by `scaling bundle`.

plan.csv, sweep.yaml   the planned runs, and their purpose
table.csv, .parquet    the results, one row for each run and milestone
fit.json, tables/      the laws, and all tables of the report
report.html, figures/  the report and its figures
versions.json          versions of the packages used for training and for the report
MANIFEST               SHA-256 of every file: sha256sum -c MANIFEST

    scaling report {name}.tar.gz        makes the report again from the table
    scaling fit {name}.tar.gz --law chinchilla
"""


def bundle(folder: Path, *, law_options: LawOptions, say: Callable[[str], None] = lambda text: None) -> bytes:
    """Return the archive of a results folder: the same results and package versions give the same bytes.

    Raises `UserError` for a folder without a plan, or if a file contains a secret or a path of this machine.
    """
    if not (folder / "plan.csv").is_file():
        raise UserError(f"found no plan in {folder}; wanted the folder of a sweep, such as results/NAME")
    name, table = folder.resolve().name, published(load_table(folder))
    with TemporaryDirectory(prefix="scaling-bundle-") as made:
        staged = Path(made) / name
        staged.mkdir()
        _refuse_links(folder)
        for file in TEXTS:
            if (folder / file).is_file():
                (staged / file).write_text(
                    without_places((folder / file).read_text(encoding="utf-8")), encoding="utf-8"
                )
        plan = pd.read_csv(folder / "plan.csv", dtype=str, keep_default_na=False)
        published(plan).to_csv(staged / "plan.csv", index=False)
        for file in READ_BY_THE_REPORT:
            _copy(folder / file, staged / file)
        archive = f"{name}.tar.gz"
        write_report(staged, table=table, law_options=law_options, figures=True, called=archive, say=say)
        table.to_csv(staged / "table.csv", index=False)
        (staged / "versions.json").write_text(json.dumps(_versions(folder, table), indent=1, sort_keys=True) + "\n")
        runs = table["run_id"].nunique() if "run_id" in table.columns else len(table)
        (staged / "README.md").write_text(README.format(name=name, runs=f"{runs:,}"))
        paths = [path.relative_to(staged) for path in staged.rglob("*") if path.is_file()]
        paths = [path for path in paths if path.parts[0] not in READ_BY_THE_REPORT]
        files = {path.as_posix(): (staged / path).read_bytes() for path in paths}
    refuse_secrets(files, os.environ)
    refuse_private(files, [Path(made), Path.home(), Path.cwd(), folder.resolve().parent])
    return pack(name, files)


def _refuse_links(folder: Path) -> None:
    """Raise `UserError` if a published file is a link, since its target may not be meant for publication."""
    paths = [folder / name for name in ("plan.csv", *TEXTS, *READ_BY_THE_REPORT)]
    for path in (*paths, *(folder / "rounds").rglob("*")):
        if path.is_symlink():
            raise UserError(f"found {path}, a link; wanted the file itself in what is published; replace it")


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copyfile(source, target)


def _versions(folder: Path, table: pd.DataFrame) -> dict[str, Any]:
    """Return the versions with which the runs were trained (and the number of runs with each) and analysed."""
    runs = find_runs(folder)
    seen: dict[str, Counter[str]] = {"versions": Counter(), "git": Counter(), "content": Counter()}
    ids = table["run_id"].drop_duplicates().tolist() if runs and "run_id" in table.columns else []
    for run_id in ids:
        record = _record(runs / run_id / "record.json") if runs else {}
        for part, found in (("versions", record.get("how")), ("git", record.get("how")), ("content", record)):
            value = (found or {}).get(part)
            if value:
                seen[part][without_places(json.dumps(value, sort_keys=True))] += 1
    trained = {
        part: [{**json.loads(text), "runs": n} for text, n in sorted(found.items())] for part, found in seen.items()
    }
    read = {"python": platform.python_version(), **{package: version(package) for package in PACKAGES}}
    return {"trained": trained, "read": read}


def _record(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
