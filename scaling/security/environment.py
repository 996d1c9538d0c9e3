"""Which environment variables a config may read: a plan saves their values, and a bundle publishes them."""

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
    """Let `${oc.env:NAME}` read no variable of this process that holds a secret by its name."""
    OmegaConf.register_new_resolver("oc.env", _env, replace=True)


def _env(name: str, *default: Any) -> Any:
    if SECRET.search(name):
        raise UserError(
            f"found oc.env:{name}, a secret by its name; wanted none in a config, for a plan keeps what it reads; "
            f"let the code that needs it read it itself"
        )
    return oc.env(name, *default)
