"""Remove or refuse private data in a bundle: absolute paths, names of machines and people, secrets."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from analysis.errors import UserError
from analysis.table.recognise.statuses import plain_name

PLACE = re.compile(r"""(?<![\w.~/:*\\<-])/(?:[^\s/,;:"'`()\[\]{}<>|=]+/)+([^\s/,;:"'`()\[\]{}<>|=]*)""")
"""An absolute path of two parts or more; the last part is kept."""
DRIVE = re.compile(r"""\b[A-Za-z]:\\(?:[^\s"'`<>|\\]+\\)*([^\s"'`<>|\\]*)""")
PRIVATE = ("host", "hostname", "node", "user", "username", "user_name", "email", "author", "owner")
"""Columns with names of machines or people, which are left out; in any case and spelling."""
SECRET_NAME = re.compile(
    r"TOKEN(?![SI])|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|_(KEY|PAT)$", re.IGNORECASE
)
SHORTEST = 8
"""Minimum length of a variable's value that counts as a secret."""
SECRET = re.compile(
    r"hooks\.slack\.com/\S+|discord(?:app)?\.com/api/webhooks/\S+|://[^/\s:@\"']+:[^/\s@\"']+@|AKIA[0-9A-Z]{16}|gh[pousr]_\w{20,}"
    r"|glpat-[\w-]{16,}|hf_\w{20,}|xox[abprs]-[\w-]{10,}|sk-[\w-]{20,}|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|(?i:bearer\s+|(?:token|api[_-]?key|password|passwd|secret)\s*[=:]\s*)[\"']?(?=[^\s\"']*\d)[\w+/.-]{16,}"
)
"""Secrets known by their form: webhooks, passwords in URLs, keys of common services, headers."""
TEXTS = (".csv", ".json", ".yaml", ".md", ".tex", ".txt", ".html", ".svg")


def without_places(text: str) -> str:
    """Return a text with absolute paths reduced to their last part: /home/me/data/x.npz becomes …/x.npz."""
    return DRIVE.sub(r"…/\1", PLACE.sub(r"…/\1", text))


def published(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table without columns of people and machines, absolute paths and names of machines."""
    hosts = sorted(set(table["host"].dropna().astype(str)) - {""}) if "host" in table.columns else []
    named = re.compile(rf"\b({'|'.join(map(re.escape, hosts))})\b") if hosts else None

    def clean(value: object) -> object:
        if not isinstance(value, str):
            return value
        return without_places(named.sub("a host", value) if named else value)

    table = table.drop(columns=[name for name in table.columns if plain_name(name).removeprefix("their_") in PRIVATE])
    words = [name for name in table.columns if not pd.api.types.is_numeric_dtype(table[name])]
    return table.assign(**{name: table[name].map(clean) for name in words})


def refuse_secrets(files: Mapping[str, bytes], environment: Mapping[str, str]) -> None:
    """Raise `UserError` if a text contains a likely secret, or the value of an environment variable named like one."""
    values = [value for name, value in environment.items() if SECRET_NAME.search(name) and len(value) >= SHORTEST]
    for name, content in files.items():
        text = content.decode(errors="replace") if name.endswith(TEXTS) else ""
        found = SECRET.search(text)
        if found or any(value in text for value in values):
            shown = f"{found[0][:12]}…" if found else "one of your environment"
            raise UserError(
                f"found what looks like a secret ({shown}) in {name}; wanted a bundle without; take it out of the "
                f"results: on_end and the like can read it from a file or a variable"
            )


def refuse_private(files: Mapping[str, bytes], places: Collection[Path]) -> None:
    """Raise `UserError` if a text names one of these folders."""
    named = sorted({str(place) for place in places} - {"/", "."}, key=len, reverse=True)
    for name, content in files.items():
        text = content.decode(errors="replace") if name.endswith(TEXTS) else ""
        found = next((place for place in named if place in text), None)
        if found:
            raise UserError(
                f"found the folder {found} named in {name}; wanted a bundle that tells nobody where it was made; take "
                f"the folder out of the sweep file or the results that name it"
            )
