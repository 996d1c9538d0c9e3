"""How many workers this machine has room for."""

from __future__ import annotations

from scaling import devices
from scaling.dispatch.launchers import Local
from scaling.errors import UserError


def workers_for(settings: Local, *, gpus: int, most: int | None = None) -> int:
    """Return how many workers to start: what is set, or one a GPU, or one for each `threads` cores."""
    if settings.threads < 1 or (settings.workers is not None and settings.workers < 1):
        raise UserError(
            f"found launcher.workers={settings.workers} and launcher.threads={settings.threads}; "
            f"wanted at least 1 of each; change it"
        )
    natural = gpus or max(1, devices.cores() // settings.threads)
    wanted = settings.workers or natural
    return wanted if most is None else max(1, min(wanted, most))
