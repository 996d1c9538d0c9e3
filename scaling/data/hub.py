"""Data sets of Hugging Face's hub, through the optional library `datasets`."""

from __future__ import annotations

import os
import ssl
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from scaling.errors import UserError

HUB = "https://huggingface.co"
ANSWERS_SECONDS = 5.0  # to wait for the hub; the library itself waits for half a minute


def is_installed() -> bool:
    """Return whether the library is installed."""
    return find_spec("datasets") is not None


def fetch(name: str) -> dict[str, Any]:
    """Return the splits of a set by name, downloaded or from the library's own cache; UserError if it is in neither."""
    hub = os.environ.get("HF_ENDPOINT", HUB)
    answers = Path(name).exists() or _answers(hub)
    if not answers:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the library is imported: what is in its cache is found at once
    from datasets import load_dataset

    try:
        return dict(load_dataset(name))
    except (OSError, ValueError) as error:  # no network, no such set, no permission
        why = str(error).splitlines()[0] if answers else f"{hub} does not answer, and it is not in the library's cache"
        raise UserError(
            f"found no {name} through Hugging Face datasets ({why}); wanted to download it; "
            f"connect to the network, or put the files into the set's folder"
        ) from error


def _answers(hub: str) -> bool:
    """Return whether a server answers, even with an error."""
    try:
        urlopen(Request(hub, method="HEAD"), timeout=ANSWERS_SECONDS).close()
    except HTTPError:
        return True
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)
    except OSError:
        return False
    return True
