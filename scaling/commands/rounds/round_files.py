"""The rounds of a sweep on disk, results/NAME/rounds/001 and on: suggestions, forecasts and outcomes."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from scaling.commands.rounds.sweep_file import sweep_name_of, write_sweep
from scaling.data.prepare.file_lock import NoLocks, locked
from scaling.folders import SweepFolder, exists, write_atomically
from scaling.plan.files import COMMAND, read_arguments

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suggested:
    """A suggested round: its facts, and the text of its sweep file."""

    facts: dict[str, Any]
    text: str


@dataclass(frozen=True)
class Round:
    """The folder of one round."""

    path: Path

    @property
    def facts(self) -> dict[str, Any]:
        """The suggestion and its forecasts."""
        found: dict[str, Any] = json.loads((self.path / "suggestion.json").read_text())
        return found

    @property
    def outcome(self) -> dict[str, Any] | None:
        """The outcome, None before its runs are settled."""
        path = self.path / "outcome.json"
        return json.loads(path.read_text()) if exists(path) else None

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """The keys of each of its runs, by run_id."""
        listed = yaml.safe_load((self.path / "sweep.yaml").read_text())["sweep"]["grid"][-1]["list"]
        return dict(zip(self.facts["runs"], listed, strict=True))

    def overrides(self, folder: SweepFolder) -> list[str]:
        """Return the overrides by which its sweep file is planned."""
        return [*shlex.split(self.facts["command"])[2:], f"results={folder.results}"]

    def write_outcome(self, outcome: dict[str, Any]) -> None:
        """Write the outcome."""
        write_atomically(self.path / "outcome.json", json.dumps(outcome, indent=1))

    def write_sweep_file(self) -> None:
        """Write the round's sweep file where its command looks for it."""
        write_sweep(Path(self.facts["sweep"]), (self.path / "sweep.yaml").read_text())


def rounds(folder: SweepFolder) -> Iterator[Round]:
    """Yield the rounds of a sweep, oldest first."""
    for path in sorted((folder.path / "rounds").glob("*/suggestion.json")):
        yield Round(path.parent)


def own_rounds(folder: SweepFolder) -> list[Round]:
    """Return the rounds that `scaling extend` has made."""
    return [one for one in rounds(folder) if one.facts["by"] == "extend"]


def spent(some: Sequence[Round], unit: str) -> float:
    """Return the cost of rounds: the larger of price and measured cost for each."""
    costs = [(one.facts["wish"]["unit"], one.facts["cost"], one.outcome or {}) for one in some]
    return float(sum(max(cost, outcome.get(unit) or 0.0) for kind, cost, outcome in costs if kind == unit))


@contextmanager
def one_at_a_time(folder: SweepFolder, doing: str) -> Iterator[None]:
    """Hold a lock so that no other process does the same with a sweep; if files cannot be locked, warn and continue.

    doing: one word, such as extending.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder.path / f".{doing}.lock", doing=f"{doing} {folder.path}"))
        except NoLocks as error:
            log.warning("%s", error)
        yield


def restore_sweep_file(folder: SweepFolder) -> None:
    """Restore the sweep file of the last run, if a round made it, since it may have been replaced or removed."""
    files = {sweep_name_of(path): path for path in (Path(one.facts["sweep"]) for one in rounds(folder))}
    for word in read_arguments(folder) or ():
        key, _, name = word.partition("=")
        if key == "sweep" and name in files:
            write_sweep(files[name], folder.sweep.read_text().rpartition(COMMAND)[0])


def save_round(folder: SweepFolder, found: Suggested, *, by: str) -> Round:
    """Save a suggestion before it is run, and write its sweep file; by: the verb that made it."""
    number = 1 + max((int(one.path.name) for one in rounds(folder)), default=0)
    new = Round(folder.path / "rounds" / f"{number:03d}")
    new.path.mkdir(parents=True, exist_ok=True)
    write_atomically(new.path / "sweep.yaml", found.text)
    write_atomically(new.path / "suggestion.json", json.dumps({**found.facts, "by": by}, indent=1))
    new.write_sweep_file()
    return new
