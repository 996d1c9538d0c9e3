"""The folders of data sets on this machine. They are not part of a run's identity."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(name: str, root: str | None) -> Path:
    """Return the folder of a data set: `data.root` if given, else NAME in $SCALING_DATA or, without that, in ./data."""
    if root is not None:
        return Path(root).expanduser()
    return Path(os.environ.get("SCALING_DATA", "data")).expanduser() / name
