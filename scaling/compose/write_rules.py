"""Write tuned rules into the `set:` of a sweep file, without changing the rest of it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from scaling.errors import UserError
from scaling.folders import write_atomically


def write_rules(path: Path, rules: Mapping[str, str], *, source: str) -> None:
    """Write rules under sweep.set of a file, each with a comment on its source; UserError if that is impossible.

    The new text is checked first: it must have the same content as before except for these rules.
    """
    if not rules:
        raise UserError(f"found no rule to write into {path}; wanted a law; try more values or sizes")
    try:
        text = path.read_text()
        before: Any = yaml.safe_load(text)
    except (OSError, yaml.YAMLError) as error:
        raise UserError(
            f"found {path}, which cannot be read ({' '.join(str(error).split())[:120]}); wanted a sweep file; repair it"
        ) from None
    if not isinstance(before, Mapping) or not isinstance(before.get("sweep"), Mapping):
        raise UserError(f"found {path} without sweep:; wanted a sweep file; name another, or write the rule by hand")
    changed = with_rules(text, {**(before["sweep"].get("set") or {}), **rules}, set(rules), source)
    wanted = {**before, "sweep": {**before["sweep"], "set": {**(before["sweep"].get("set") or {}), **rules}}}
    if _read(changed) != wanted:
        raise UserError(
            f"found sweep.set of {path} in a form that cannot be changed in place; wanted `set: {{…}}` or a line a "
            f"key; write {'; '.join(f'{key}: {rule}' for key, rule in rules.items())} by hand"
        )
    write_atomically(path, changed)


def _read(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return None


def with_rules(text: str, entries: Mapping[str, Any], new: set[str], source: str) -> str:
    """Return the text of a sweep file with `set:` of its section `sweep:` rewritten, one line a key."""
    lines = text.splitlines(keepends=True)
    start = next(i for i, line in enumerate(lines) if re.match(r"sweep\s*:", line))
    end = next((i for i in range(start + 1, len(lines)) if re.match(r"[^\s#]", lines[i])), len(lines))
    inside = next((m[1] for line in lines[start + 1 : end] if (m := re.match(r"(\s+)[^\s#]", line))), "  ")
    at = next((i for i in range(start + 1, end) if re.match(rf"{inside}set\s*:", lines[i])), None)
    written = [f"{inside}set:\n"]
    for key, rule in entries.items():
        note = f" # {source}" if key in new else ""
        written.append(f"{inside}  {key}: {rule}{note}\n")
    if at is None:
        if lines and not lines[end - 1].endswith("\n"):
            lines[end - 1] += "\n"
        return "".join([*lines[:end], *written, *lines[end:]])
    after = at + 1
    while after < end and (not lines[after].strip() or lines[after].startswith(f"{inside} ")):
        after += 1
    while after > at + 1 and not lines[after - 1].strip():
        after -= 1
    return "".join([*lines[:at], *written, *lines[after:]])
