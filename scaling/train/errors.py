"""Running out of the device's memory, told in one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.plan.identity import resolved_precision

OUT_OF_MEMORY = ("can't allocate memory", "not enough memory", "CUDA out of memory")  # in torch's messages


class OutOfMemory(UserError):
    """The device's memory did not hold the run."""


@contextmanager
def explain_memory_errors(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Turn the errors of torch and Python for too little memory into OutOfMemory, which says what to change."""
    try:
        yield
    except MemoryError as error:
        raise _explain(config, device) from error
    except RuntimeError as error:  # torch.cuda.OutOfMemoryError is one; on a CPU only the message tells
        if not any(words in str(error) for words in OUT_OF_MEMORY):
            raise
        raise _explain(config, device) from error


def _explain(config: RunConfig, device: torch.device) -> OutOfMemory:
    held = config.train.micro_batch or config.train.batch
    advice = [f"train.micro_batch={held // 2} (the same run)"] if held > 1 else []
    if resolved_precision(config) != "bf16":
        advice.append("train.precision=bf16")
    if hasattr(config.model, "width"):
        advice.append("a smaller model.width")
    return OutOfMemory(
        f"found too little memory on {device} for batches of {held}; wanted a run that fits; "
        f"try {', '.join(advice[:-1])}{' or ' if len(advice) > 1 else ''}{advice[-1]}"
    )
