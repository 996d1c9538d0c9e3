"""The live page over HTTP: what it says of a sweep, and that nothing but the sweep can be read."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import pytest

from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.live.reports import Reports
from scaling.live.server import LOOPBACK, ServedSweep, Server
from scaling.live.snapshot import Snapshots
from tests.analysis import worlds
from tests.analysis.conftest import troubled
from tests.analysis.worlds import write_results


class Visitor:
    def __init__(self, sweep: ServedSweep, port: int) -> None:
        self.sweep, self.port = sweep, port

    def get(self, path: str, *, token: str | None = None, host: str | None = None, method: str = "GET"):
        """Ask for a path below the token, and return the status and the text."""
        connection = HTTPConnection(LOOPBACK, self.port, timeout=60)
        connection.putrequest(method, f"/{token or self.sweep.token}/{path}", skip_host=True)
        connection.putheader("Host", host or f"{LOOPBACK}:{self.port}")
        connection.endheaders()
        answer = connection.getresponse()
        said = answer.status, answer.read().decode()
        connection.close()
        return said


@contextmanager
def served(folder: SweepFolder, into: Path):
    sweep = ServedSweep(folder, Snapshots(folder), Reports(folder, into))
    with Server(sweep) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield Visitor(sweep, server.server_port)
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def visitor(tmp_path_factory):
    root = tmp_path_factory.mktemp("live")
    table = troubled(worlds.small())
    path = write_results(table, root, "mine")
    (root / "results" / "secret.txt").write_text("secret")
    folder = SweepFolder(path.parent, path.name)
    with served(folder, root / "drawn") as found:
        found.sweep.reports._next = float("inf")  # none is drawn in the background of these tests
        found.table = table
        yield found


def test_the_state_of_a_sweep_is_said(visitor):
    code, text = visitor.get("status.json")
    assert code == 200
    said = json.loads(text)
    assert (said["name"], said["runs"]) == ("mine", len(visitor.table))
    assert said["settled"] == (visitor.table["status"].isin(["finished", "diverged"])).sum()
    assert ["diverged", 1] in said["states"]
    assert said["failed"][0]["cause"] == "out_of_memory"
    assert said["report"] == 0
    code, page = visitor.get("")
    assert code == 200
    assert "scaling watch" in page
    assert visitor.get("report.html")[0] == 200


def test_what_keeps_jobs_from_training_is_said(tmp_path):
    folder = SweepFolder(tmp_path / "results", "mine")
    job = folder.jobs / "1" / "7_0_submitted.pkl"
    job.parent.mkdir(parents=True)
    job.touch()
    folder.plan.write_text("run_id,overrides,C\nabc,seed=0,1e6\n")
    [note] = Snapshots(folder).take()["notes"]
    assert "dispatch.json cannot be read" in note


def test_logs_and_files_of_runs_are_there(visitor):
    failed = visitor.table.loc[1, "run_id"]
    assert "out_of_memory" in visitor.get(f"logs/{failed}")[1]
    config = visitor.sweep.folder.run(failed).path / "config.yaml"
    config.write_text("seed: 0\n")
    assert visitor.get(f"runs/{failed}/config.yaml") == (200, "seed: 0\n")


@pytest.mark.parametrize(
    "path",
    [
        "secret.txt",
        "../secret.txt",
        "runs/../secret.txt",
        "runs/..%2f..%2fsecret.txt/config.yaml",
        "runs/{run}/record.json",
        "runs/{run}/../../secret.txt",
        "runs/{run}/config.yaml/../../../secret.txt",
        "logs/../secret.txt",
        "//etc/passwd",
        "runs//config.yaml",
    ],
)
def test_no_path_leads_out_of_the_sweep(visitor, path):
    code, text = visitor.get(path.format(run=visitor.table.loc[5, "run_id"]))
    assert code == 404
    assert "secret" not in text


def test_who_has_no_token_or_comes_by_another_name_sees_nothing(visitor):
    assert visitor.get("status.json", token="guessed")[0] == 404
    assert visitor.get("status.json", host="evil.example")[0] == 403
    for method in ("POST", "PUT", "DELETE"):
        assert visitor.get("status.json", method=method)[0] == 501


def test_a_taken_port_is_said(visitor):
    with pytest.raises(UserError, match=f"found port {visitor.port} taken"):
        Server(visitor.sweep, visitor.port)


@pytest.mark.slow
def test_the_report_is_drawn_elsewhere_and_leads_to_runs(tmp_path):
    path = write_results(worlds.small(), tmp_path, "mine")
    before = sorted(file.name for file in path.iterdir())
    with served(SweepFolder(path.parent, path.name), tmp_path / "drawn") as visitor:
        visitor.sweep.reports.draw(48)
        code, page = visitor.get("report.html")
        assert code == 200
        assert "best loss falls as" in page
        assert '"folder":"runs"' in page
        assert json.loads(visitor.get("status.json")[1])["report"] == 1
    assert sorted(file.name for file in path.iterdir()) == before


def test_nothing_that_a_link_leads_to_is_shown_and_a_pipe_is_said(tmp_path):
    path = write_results(worlds.small(), tmp_path, "mine")
    folder = SweepFolder(path.parent, path.name)
    run = next((folder.results / "runs").iterdir())
    (tmp_path / "secret").write_text("secret")
    (run / "config.yaml").unlink(missing_ok=True)
    (run / "config.yaml").symlink_to(tmp_path / "secret")
    (run / "log.jsonl").unlink(missing_ok=True)
    os.mkfifo(run / "log.jsonl")
    with served(folder, tmp_path / "drawn") as visitor:
        assert visitor.get(f"runs/{run.name}/config.yaml")[0] == 404
        assert visitor.get(f"runs/{run.name}/log.jsonl")[0] == 404
        assert visitor.get(f"logs/{run.name}") == (404, f"found no regular file: {run / 'log.jsonl'}")
