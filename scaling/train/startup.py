"""What a process of training need not do: import torch._dynamo, and go through torch's own objects for garbage."""

from __future__ import annotations

import gc
from functools import cache


@cache
def spare_collector() -> None:
    """Keep what has been imported out of garbage collection, the interpreter's last one too: 0.4 s of CPU a process."""
    gc.freeze()
