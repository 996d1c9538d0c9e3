"""The rounds of a sweep on disk, results/NAME/rounds/001 and on: what was suggested, forecast, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scaling.commands.rounds.sweep_file import write_sweep
from scaling.folders import SweepFolder, write_aside


@dataclass(frozen=True)
class Suggested:
    """A round that was suggested: what was said of it, and the text of its sweep file."""

    facts: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Round:
    """The folder of one round."""

    path: Path

    @property
    def facts(self) -> dict[str, Any]:
        """What was suggested and forecast."""
        found: dict[str, Any] = json.loads((self.path / "suggestion.json").read_text())
        return found

    @property
    def outcome(self) -> dict[str, Any] | None:
        """What came of it; None before its runs are settled."""
        path = self.path / "outcome.json"
        return json.loads(path.read_text()) if path.is_file() else None

    def end(self, outcome: dict[str, Any]) -> None:
        """Write down what came of it."""
        write_aside(self.path / "outcome.json", json.dumps(outcome, indent=1))

    def put_sweep(self) -> None:
        """Write the round's sweep file where its command looks for it."""
        write_sweep(Path(self.facts["sweep"]), (self.path / "sweep.yaml").read_text())


def rounds(folder: SweepFolder) -> Iterator[Round]:
    """Yield the rounds of a sweep, oldest first."""
    for path in sorted((folder.path / "rounds").glob("*/suggestion.json")):
        yield Round(path.parent)


def keep_round(folder: SweepFolder, found: Suggested, *, by: str) -> Round:
    """Keep a suggestion before anything of it is run, and write its sweep file. by: the verb that made it."""
    number = 1 + max((int(one.path.name) for one in rounds(folder)), default=0)
    made = Round(folder.path / "rounds" / f"{number:03d}")
    made.path.mkdir(parents=True, exist_ok=True)
    write_aside(made.path / "sweep.yaml", found.text)
    write_aside(made.path / "suggestion.json", json.dumps({**found.facts, "by": by}, indent=1))
    made.put_sweep()
    return made
