"""Compute the digests of a run's data and code on this machine."""

from __future__ import annotations

import json

from scaling.config import GROUPS, RunConfig
from scaling.content.code import fingerprint
from scaling.content.content import Content
from scaling.content.digest import digest_of, joined


def content_of(config: RunConfig) -> Content:
    """Return the digests of a run's data, its stage's files and the user's own code on this machine."""
    return Content(
        config.data.digest(), joined(map(digest_of, config.stage.files())), code_of(config), kwargs_of(config)
    )


def code_of(config: RunConfig) -> str:
    """Return the fingerprint of the user's own modules that a run's config names, "" if there are none."""
    parts = [getattr(config, name) for name in (*GROUPS, "stage")]
    names = {type(part).__module__ for part in parts}
    named = {module.rpartition(".")[0] for part in parts if isinstance(module := getattr(part, "module", None), str)}
    return fingerprint(frozenset(names | named - {""}))


def kwargs_of(config: RunConfig) -> str:
    """Return the digest of the arguments of a user's module, in which 2 and 2.0 differ, "" if there are none."""
    kwargs = getattr(config.model, "kwargs", None)
    return joined([json.dumps(kwargs, sort_keys=True, default=str)]) if kwargs else ""
