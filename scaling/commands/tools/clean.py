"""`scaling clean`: remove files of a sweep that are no longer needed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from scaling.commands.completion.words import complete_results
from scaling.commands.options import as_typed, json_option, sweep_folder, terminal, write_json
from scaling.errors import UserError
from scaling.numbers import size

if TYPE_CHECKING:
    from scaling.dispatch.leftovers.find import Leftover
    from scaling.terminal_table import Terminal

EPILOG = """\b
Examples:
  scaling clean results/mine                      list what can be removed, and ask
  scaling clean results/mine --only features,asides --yes
"""


@click.command(epilog=EPILOG)
@click.argument("folder", metavar="results/NAME", shell_complete=complete_results)
@click.option("--only", metavar="KIND,…", help="Only these kinds: runs, asides, checkpoints, features, temporary, "
              "weights, code.  [all but the last two]")  # fmt: skip
@click.option("--yes", is_flag=True, help="Remove without asking.")
@json_option
def clean(folder: str, only: str | None, yes: bool, json_path: str | None) -> None:
    """List the files of a sweep that are no longer needed, by kind and size, and remove them if you agree.

    Runs that any plan of these results names keep their records. Without a terminal and without --yes, it only lists.
    """
    from scaling.dispatch.leftovers.find import find_leftovers
    from scaling.dispatch.leftovers.remove import refuse_at_work, remove

    sweep, console = sweep_folder(folder), terminal(stderr=json_path == "-")
    found = find_leftovers(sweep)
    going = _chosen(found, only)
    show(console, found if only is None else going, going)
    left: list[Leftover] = []
    agreed = bool(going) and (yes or (json_path != "-" and sys.stdin.isatty() and click.confirm("remove them?")))
    if agreed:
        refuse_at_work(sweep)
        left = remove(sweep, going)
    _print_removed(console, going, left, agreed=agreed, path=as_typed(sweep.path))
    if json_path is not None:
        removed = [one for one in going if one not in left] if agreed else []
        write_json({"found": by_kind(found), "removed": by_kind(removed)}, json_path)


def _chosen(found: Sequence[Leftover], only: str | None) -> list[Leftover]:
    from scaling.dispatch.leftovers.find import ASKED_FOR, KINDS

    if only is None:
        return [one for one in found if one.kind not in ASKED_FOR]
    kinds = [word.strip() for word in only.split(",")]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown:
        raise UserError(f"found --only {unknown[0]!r}; wanted some of {', '.join(KINDS)}")
    return [one for one in found if one.kind in kinds]


def by_kind(found: Sequence[Leftover]) -> dict[str, Any]:
    """Return the leftovers of each kind: their number, files, bytes and paths."""
    kinds: dict[str, Any] = {}
    for one in found:
        kind = kinds.setdefault(one.kind, {"count": 0, "files": 0, "bytes": 0, "paths": []})
        kind["count"] += 1
        kind["files"] += one.files
        kind["bytes"] += one.bytes
        kind["paths"].append(str(one.path))
    return kinds


def show(console: Terminal, found: Sequence[Leftover], going: Sequence[Leftover]) -> None:
    """Print one line for each kind, with its size, and which kinds stay."""
    from scaling.dispatch.leftovers.find import KINDS
    from scaling.terminal_table import Column, print_table

    numbers = Column("number", right=True), Column("files", rank=1, right=True), Column("size", right=True)
    columns = (Column("kind"), *numbers, Column("what", wraps=True))
    goes, rows = {one.kind for one in going}, []
    for name, kind in by_kind(found).items():
        what = KINDS[name] + ("" if name in goes else f"; they stay (--only {name} removes them)")
        rows.append([name, f"{kind['count']:,}", f"{kind['files']:,}", size(kind["bytes"]), what])
    if rows:
        print_table(console, columns, rows)


def _print_removed(
    console: Terminal, going: Sequence[Leftover], left: Sequence[Leftover], *, agreed: bool, path: str
) -> None:
    """Print what was removed."""
    gone = sum(one.bytes for one in going) - sum(one.bytes for one in left)
    if not going:
        console.say(f"nothing to remove in {path}")
    elif not agreed:
        console.say(f"nothing was removed; --yes removes {size(gone)} without asking")
    else:
        console.say(f"removed {size(gone)} of {path}")
    if left:
        kept = ", ".join(as_typed(one.path) for one in left[:3]) + (", …" if len(left) > 3 else "")
        console.say(f"kept {len(left):,} that are claimed or belong to another user: {kept}")
