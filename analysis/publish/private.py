"""What a bundle must not tell: where files lay on somebody's machine, and what the machine is called."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.table.statuses import plain

PLACE = re.compile(r"""(?<![\w.~/:*\\<-])/(?:[^\s/,;:"'`()\[\]{}<>|=]+/)+([^\s/,;:"'`()\[\]{}<>|=]*)""")
"""An absolute path of two parts or more; the last part is kept."""
DRIVE = re.compile(r"""\b[A-Za-z]:\\(?:[^\s"'`<>|\\]+\\)*([^\s"'`<>|\\]*)""")
PRIVATE = ("host", "hostname", "node", "user", "username", "user_name", "email", "author", "owner")
"""Columns that are left out, in any case and spelling: machines and people."""
TEXTS = (".csv", ".json", ".yaml", ".md", ".tex", ".txt", ".html", ".svg")


def without_places(text: str) -> str:
    """Return a text with absolute paths cut down to their last part: /home/me/data/x.npz is …/x.npz."""
    return DRIVE.sub(r"…/\1", PLACE.sub(r"…/\1", text))


def published(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without columns of people and machines, and without absolute paths; machines are named nowhere."""
    hosts = sorted(set(table["host"].dropna().astype(str)) - {""}) if "host" in table.columns else []
    named = re.compile(rf"\b({'|'.join(map(re.escape, hosts))})\b") if hosts else None

    def clean(value: object) -> object:
        if not isinstance(value, str):
            return value
        return without_places(named.sub("a host", value) if named else value)

    table = table.drop(columns=[name for name in table.columns if plain(name).removeprefix("their_") in PRIVATE])
    words = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].map(clean) for name in words})


def refuse_private(files: Mapping[str, bytes], places: Collection[Path]) -> None:
    """Raise `UserError` where a text names one of these folders: nothing of that kind is ever published unseen."""
    named = sorted({str(place) for place in places} - {"/", "."}, key=len, reverse=True)
    for name, content in files.items():
        text = content.decode(errors="replace") if name.endswith(TEXTS) else ""
        found = next((place for place in named if place in text), None)
        if found:
            raise UserError(
                f"found the folder {found} named in {name}; wanted a bundle that tells nobody where it was made"
            )
