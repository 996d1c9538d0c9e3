"""A headless Chromium, driven over its own pipe (the DevTools protocol): what a reader does, and what they then see."""

from __future__ import annotations

import base64
import json
import os
import select
import subprocess
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds to wait for an answer, on a busy machine."""

COMMAND = (
    "exec chromium --headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --disable-extensions "
    '--disable-background-networking --remote-debugging-pipe --user-data-dir="$PROFILE" about:blank 3<&{} 4>&{}'
)


class Browser:
    """One page in a browser. errors: what its scripts raised."""

    def __init__(self, profile: Path) -> None:
        theirs_in, self._out = os.pipe()
        self._in, theirs_out = os.pipe()
        self._buffer, self._number, self.errors = b"", 0, list[str]()
        self._process = subprocess.Popen(
            ["bash", "-c", COMMAND.format(theirs_in, theirs_out)],
            pass_fds=(theirs_in, theirs_out),
            env={**os.environ, "PROFILE": str(profile), "HOME": str(profile)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._session: str | None = None
        target = next(one for one in self.send("Target.getTargets")["targetInfos"] if one["type"] == "page")
        attached = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime"):
            self.send(f"{domain}.enable")

    def close(self) -> None:
        self._session = None
        self.send("Browser.close")
        self._process.wait(PATIENCE)
        os.close(self._in)
        os.close(self._out)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        said = {"id": self._number, "method": method, "params": params}
        if self._session:
            said["sessionId"] = self._session
        os.write(self._out, json.dumps(said).encode() + b"\0")
        while (answer := self._read()).get("id") != self._number:
            pass
        assert "error" not in answer, answer
        return answer["result"]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            ready, _, _ = select.select([self._in], [], [], PATIENCE)
            assert ready, "the browser does not answer"
            part = os.read(self._in, 1 << 20)
            assert part, "the browser ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        said = json.loads(text)
        if said.get("method") == "Runtime.exceptionThrown":
            details = said["params"]["exceptionDetails"]
            self.errors.append(details.get("exception", {}).get("description") or details["text"])
        return said

    def open(self, url: str, *, width: int = 1280, height: int = 900, dark: bool = False, script: bool = True) -> None:
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": _scheme(dark)}])
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        self.send("Page.navigate", url=url)
        while self._read().get("method") != "Page.loadEventFired":
            pass

    def run(self, expression: str) -> Any:
        """Evaluate an expression (a promise is awaited) and return its value."""
        found = self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found["exceptionDetails"]
        return found["result"].get("value")

    def frames(self, n: int = 3) -> None:
        """Let the page draw what has come into view or changed its size."""
        self.run(
            f"new Promise(done => {{ let n = {n}; const next = () => n-- > 0 ? requestAnimationFrame(next) : done(); "
            "next(); })"
        )

    def mouse(self, kind: str, x: float, y: float) -> None:
        pressed = kind != "mouseMoved"
        button = {"button": "left", "clickCount": 1} if pressed else {}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    def click(self, x: float, y: float) -> None:
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.mouse(kind, x, y)

    def screenshot(self, path: Path, *, whole: bool = True) -> None:
        size = self.send("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 16000), "scale": 1}
        options = {"captureBeyondViewport": True, "clip": clip} if whole else {}
        path.write_bytes(base64.b64decode(self.send("Page.captureScreenshot", format="png", **options)["data"]))


def _scheme(dark: bool) -> str:
    return "dark" if dark else "light"
