"""A small server on loopback that shows one sweep and changes nothing. No path leads outside the sweep."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from threading import Lock
from typing import Any

from scaling.dispatch.control.logs import read_log
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.live.reports import Reports
from scaling.live.snapshot import Snapshots
from scaling.security.reading import read_text

LOOPBACK = "127.0.0.1"
IDLE_SECONDS = 60.0  # after which an idle connection is closed
LOOK_SECONDS = 1.0  # between two reads of the files, for any number of requests
FILES = {"config.yaml": "text/plain", "log.jsonl": "text/plain"}  # files of a run that are served
POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
    "frame-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'"
)
WAITING = "<!doctype html><meta charset=utf-8><meta name=color-scheme content='light dark'><p>{}</p>"


@dataclass
class ServedSweep:
    """A served sweep: its snapshots, its report, and the token in its addresses."""

    folder: SweepFolder
    snapshots: Snapshots
    reports: Reports
    token: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    _lock: Lock = field(default_factory=Lock)
    _taken: tuple[float, dict[str, Any]] | None = None

    def status(self) -> dict[str, Any]:
        """Return the latest snapshot, and start a new report if runs have settled."""
        with self._lock:
            if self._taken is None or time.monotonic() - self._taken[0] > LOOK_SECONDS:
                self._taken = (time.monotonic(), self.snapshots.take())
            found = self._taken[1]
        self.reports.draw_if_due(found["settled"], ended=found["ended"])
        return {**found, "report": self.reports.version, "refusal": self.reports.refusal}

    def answer(self, path: str) -> tuple[str, str] | None:
        """Return the content type and text for a path below the token, None if there is nothing."""
        pages: dict[str, Callable[[], tuple[str, str]]] = {
            "": lambda: ("text/html", files("scaling.live").joinpath("live.html").read_text(encoding="utf-8")),
            "status.json": lambda: ("application/json", json.dumps(self.status())),
            "report.html": lambda: ("text/html", self.reports.html or WAITING.format("No report yet.")),
        }
        if path in pages:
            return pages[path]()
        kind, _, rest = path.partition("/")
        run_id, _, name = rest.partition("/")
        if not run_id.isalnum():
            return None
        run = self.folder.run(run_id)
        if kind == "runs" and name in FILES and _is_own_file(run.path / name):
            return FILES[name], read_text(run.path / name, errors="replace")
        if kind == "logs" and not name:
            try:
                return "text/plain", "\n".join(read_log(self.folder, run_id))
            except UserError as error:
                return "text/plain", str(error)
        return None


def _is_own_file(path: Path) -> bool:
    """Return whether a file is in its run's folder and not a link."""
    return path.is_file() and not path.is_symlink() and not path.parent.is_symlink()


class Handler(BaseHTTPRequestHandler):
    """Answers the requests that reach a server."""

    server: Server
    server_version, sys_version, protocol_version = "scaling", "", "HTTP/1.1"
    timeout = IDLE_SECONDS

    def do_GET(self) -> None:
        """Answer requests below the token, and all others with 404."""
        hosts = {f"{name}:{self.server.server_port}" for name in (LOOPBACK, "localhost")}
        _, token, path = [*self.path.partition("?")[0].split("/", 2), "", ""][:3]
        if self.headers.get("Host") not in hosts:  # a page elsewhere whose name was made to mean this machine
            self.send("text/plain", "found another host's name", HTTPStatus.FORBIDDEN)
            return
        sweep = self.server.sweep
        known = secrets.compare_digest(token.encode(), sweep.token.encode())
        try:
            found = sweep.answer(path) if known else None
        except OSError as error:  # an unreachable file; the others are shown
            self.send("text/plain", f"found {error.strerror}: {error.filename}", HTTPStatus.NOT_FOUND)
            return
        self.send(*(found or ("text/plain", "nothing here")), HTTPStatus.OK if found else HTTPStatus.NOT_FOUND)

    def send(self, kind: str, text: str, status: HTTPStatus) -> None:
        """Send one answer."""
        body = text.encode(errors="replace")
        self.send_response(status)
        for name, value in (
            ("Content-Type", f"{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Content-Security-Policy", POLICY),
            ("Cache-Control", "no-store"),
            ("Referrer-Policy", "no-referrer"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing: requests hold the token."""


class Server(ThreadingHTTPServer):
    """Serves a sweep on a port of loopback (0: any that is free); UserError if the port is taken."""

    def __init__(self, sweep: ServedSweep, port: int = 0) -> None:
        self.sweep = sweep
        try:
            super().__init__((LOOPBACK, port), Handler)
        except OSError as error:
            raise UserError(
                f"found port {port} taken ({error.strerror}); wanted a free one; leave --port out"
            ) from error
