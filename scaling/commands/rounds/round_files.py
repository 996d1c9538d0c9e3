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
from scaling.data.prepare.one_process import NoLocks, alone
from scaling.folders import SweepFolder, write_aside
from scaling.plan.files import COMMAND, read_arguments

log = logging.getLogger(__name__)


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

    @property
    def cells(self) -> dict[str, dict[str, Any]]:
        """The keys of each of its runs, by run_id."""
        listed = yaml.safe_load((self.path / "sweep.yaml").read_text())["sweep"]["grid"][-1]["list"]
        return dict(zip(self.facts["runs"], listed, strict=True))

    def words(self, folder: SweepFolder) -> list[str]:
        """Return the overrides by which its sweep file is planned."""
        return [*shlex.split(self.facts["command"])[2:], f"results={folder.results}"]

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


def own_rounds(folder: SweepFolder) -> list[Round]:
    """Return the rounds that `scaling extend` has made."""
    return [one for one in rounds(folder) if one.facts["by"] == "extend"]


def spent(made: Sequence[Round], unit: str) -> float:
    """Return what rounds have cost: as priced, or as measured where that is more."""
    costs = [(one.facts["wish"]["unit"], one.facts["cost"], one.outcome or {}) for one in made]
    return float(sum(max(cost, outcome.get(unit) or 0.0) for kind, cost, outcome in costs if kind == unit))


@contextmanager
def one_at_a_time(folder: SweepFolder, doing: str) -> Iterator[None]:
    """Let no two processes do the same with a sweep at once; where files cannot be locked, say so and go on.

    doing: one word, such as extending.
    """
    with ExitStack() as held:
        try:
            held.enter_context(alone(folder.path / f".{doing}.lock", doing=f"{doing} {folder.path}"))
        except NoLocks as said:
            log.warning("%s", said)
        yield


def put_back(folder: SweepFolder) -> None:
    """Write the file that a sweep was last run by, if a round made it: another suggestion may lie there, or nothing."""
    files = {sweep_name_of(path): path for path in (Path(one.facts["sweep"]) for one in rounds(folder))}
    for word in read_arguments(folder) or ():
        key, _, name = word.partition("=")
        if key == "sweep" and name in files:
            write_sweep(files[name], folder.sweep.read_text().rpartition(COMMAND)[0])


def keep_round(folder: SweepFolder, found: Suggested, *, by: str) -> Round:
    """Keep a suggestion before anything of it is run, and write its sweep file. by: the verb that made it."""
    number = 1 + max((int(one.path.name) for one in rounds(folder)), default=0)
    made = Round(folder.path / "rounds" / f"{number:03d}")
    made.path.mkdir(parents=True, exist_ok=True)
    write_aside(made.path / "sweep.yaml", found.text)
    write_aside(made.path / "suggestion.json", json.dumps({**found.facts, "by": by}, indent=1))
    made.put_sweep()
    return made
