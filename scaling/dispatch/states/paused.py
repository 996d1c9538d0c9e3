"""A pause: while results/NAME/paused.json exists, no run of the sweep is started, and running ones stop."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from scaling.dispatch.claims.stop import StopCheck
from scaling.dispatch.process import this_user
from scaling.errors import UserError, printable
from scaling.folders import SweepFolder, exists, write_atomically
from scaling.security.reading import parse_json, read_text

PAUSED = "paused"  # the reason for which workers stop, and the cause of their attempts


def pause(folder: SweepFolder) -> bool:
    """Pause a sweep; return False if it already was paused."""
    if exists(folder.paused):
        return False
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_atomically(folder.paused, json.dumps({"since": now, "user": this_user()}))
    return True


def lift_pause(folder: SweepFolder) -> None:
    """End the pause of a sweep."""
    folder.paused.unlink(missing_ok=True)


def paused_words(folder: SweepFolder) -> str:
    """Return since when a sweep is paused, and by whom; '' if it is not."""
    if not exists(folder.paused):
        return ""
    try:
        facts = parse_json(read_text(folder.paused))
        return printable(f"paused since {facts['since']} by {facts['user']}")
    except (OSError, ValueError, TypeError, KeyError):  # the file exists, whatever its content
        return PAUSED


def refuse_paused(folder: SweepFolder, *, path: str) -> None:
    """Raise UserError if a sweep is paused; path: of its folder, as typed in a command."""
    words = paused_words(folder)
    if words:
        raise UserError(
            f"found {path} {words}; wanted a sweep that is not paused; `scaling resume {path}` continues it"
        )


def pause_check(path: Path) -> StopCheck:
    """Return a check whether the file of a pause exists."""
    return lambda run_id: (PAUSED if exists(path) else "", "")
