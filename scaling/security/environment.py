"""Restrict the environment variables that a config may read, since plans save and bundles publish their values."""

from __future__ import annotations

import re
from typing import Any

from omegaconf import OmegaConf
from omegaconf.resolvers import oc

from scaling.errors import UserError

SECRET = re.compile(
    r"TOKEN(?![SI])|SECRET|PASSW|PASSPHRASE|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY|_(KEY|PAT|PWD)$", re.I
)


def refuse_secrets() -> None:
    """Let `${oc.env:NAME}` refuse variables whose names suggest a secret."""
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)


def _env(name: str, *default: Any) -> Any:
    if SECRET.search(name):
        raise UserError(
            f"found oc.env:{name}, a secret by its name; wanted none in a config, for a plan keeps what it reads; "
            f"let the code that needs it read it itself"
        )
    return oc.env(name, *default)
