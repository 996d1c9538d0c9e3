"""Data sets of Hugging Face's hub, through the optional library `datasets`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from scaling.errors import UserError


def known() -> bool:
    """Say whether the library is installed."""
    return find_spec("datasets") is not None


def fetch(name: str) -> dict[str, Any]:
    """Return the splits of a set by name, downloaded or from the library's own cache."""
    from datasets import load_dataset

    try:
        return dict(load_dataset(name))
    except (OSError, ValueError) as error:  # no network, no such set, no permission
        raise UserError(
            f"found no {name} through Hugging Face datasets ({str(error).splitlines()[0]}); wanted to download it; "
            f"connect to the network, or put the files into the set's folder"
        ) from error
