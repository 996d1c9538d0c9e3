"""The data and code of a run that this machine has."""

from __future__ import annotations

from scaling.config import GROUPS, RunConfig
from scaling.content.code import fingerprint
from scaling.content.digest import digest_of, joined
from scaling.content.digests import Content


def content_of(config: RunConfig) -> Content:
    """Return what this machine has of a run's data, its stage's files and the user's own code."""
    return Content(config.data.digest(), joined(map(digest_of, config.stage.files())), code_of(config))


def code_of(config: RunConfig) -> str:
    """Return the fingerprint of the user's own modules that the parts of a run come from, "" where none is."""
    parts = [getattr(config, name) for name in (*GROUPS, "stage")]
    names = {type(part).__module__ for part in parts}
    named = {module.rpartition(".")[0] for part in parts if isinstance(module := getattr(part, "module", None), str)}
    return fingerprint(frozenset(names | named - {""}))
