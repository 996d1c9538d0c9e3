"""The report of a running sweep, drawn by a separate process into another folder."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from threading import Lock, Thread

from scaling.folders import SweepFolder

RESTS = 4.0  # pause before the next report, in units of the time that the last one took
RESAMPLES = 200  # for the intervals of a report that will soon be replaced


class Reports:
    """Draws a report when runs have settled since the last one; html: the last one, empty before the first.

    version: number of reports so far; refusal: why the last one failed, in a sentence.
    """

    def __init__(self, folder: SweepFolder, into: Path) -> None:
        self._folder, self._into = folder, into
        self._lock, self._drawn_of, self._next = Lock(), -1, 0.0
        self.html, self.version, self.refusal = "", 0, ""

    def draw_if_due(self, settled: int, *, ended: bool = False) -> None:
        """Draw a report in the background if more runs have settled and the pause is over.

        ended: no more runs will settle, so that no pause is needed.
        """
        rested = ended or time.monotonic() >= self._next
        if settled > 0 and settled != self._drawn_of and rested and self._lock.acquire(False):
            Thread(target=self._draw_and_release, args=(settled,), daemon=True).start()

    def _draw_and_release(self, settled: int) -> None:
        try:
            self.draw(settled)
        finally:
            self._lock.release()

    def draw(self, settled: int) -> None:
        """Draw a report of the settled runs."""
        began = time.monotonic()
        command = [sys.executable, "-P", "-m", "analysis", "report", str(self._folder.path), "-o", str(self._into)]
        done = subprocess.run(
            [*command, "--resamples", str(RESAMPLES)], stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        self._drawn_of, self._next = settled, began + (1 + RESTS) * (time.monotonic() - began)
        if done.returncode:
            self.refusal = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "the report ended early"
            return
        self.refusal = ""
        self.html = _with_our_links((self._into / "report.html").read_text(encoding="utf-8"))
        self.version += 1


def _with_our_links(html: str) -> str:
    """Rewrite the links to files of runs to this server, wherever the folder of runs is."""
    found = re.search(r'"folder":"([^"]*)"', html)
    if not found or not found[1]:
        return html
    return html.replace(found[0], '"folder":"runs"').replace(f'href="{found[1]}/', 'href="runs/')
