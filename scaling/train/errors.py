"""Out of memory on the device, reported in one sentence."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.optim.lstsq import LeastSquares
from scaling.plan.identity import asked_precision
from scaling.train.step.micro_batch import micro_batch_of

T = TypeVar("T")
OUT_OF_MEMORY = (  # parts of messages of torch, CUDA and its libraries (cuBLAS, cuDNN, …), the system and C++
    "out of memory",
    "not enough memory",
    "can't allocate memory",
    "cannot allocate memory",
    "out_of_memory",
    "alloc_failed",
    "allocation_failed",
    "bad_alloc",
)


class OutOfMemory(UserError):
    """The run does not fit into the device's memory."""


@contextmanager
def explain_memory_errors(config: RunConfig, device: torch.device) -> Iterator[None]:
    """Turn out-of-memory errors of torch and Python into OutOfMemory, which says what to change."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        raise _explain(config, device) from error


def is_out_of_memory(error: Exception) -> bool:
    """Return whether an error means too little memory; for torch and most libraries only the message shows it."""
    return isinstance(error, MemoryError) or any(words in str(error).lower() for words in OUT_OF_MEMORY)


def result_or_error(work: Callable[[], T]) -> T | Exception:
    """Do work for one member of a stack, and return its result or the error that ends only this member.

    Raises errors of memory and files, which concern all members.
    """
    try:
        return work()
    except OSError:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return error


def _explain(config: RunConfig, device: torch.device) -> OutOfMemory:
    held = micro_batch_of(config.train)
    advice = []
    if held > 1 and _adds_up(config):
        advice.append(f"train.micro_batch={held // 2} (the same run but for rounding)")
    if asked_precision(config) != "bf16":
        advice.append("train.precision=bf16")
    advice.append("a smaller model.width" if hasattr(config.model, "width") else "a smaller model")
    return OutOfMemory(
        f"found too little memory on {device} for batches of {held}; wanted a run that fits; "
        f"try {', '.join(advice[:-1])}{' or ' if len(advice) > 1 else ''}{advice[-1]}"
    )


def _adds_up(config: RunConfig) -> bool:
    """Return whether the gradients of a batch are the sum over its micro-batches, as far as the config shows."""
    model = config.model
    joined = getattr(model, "dropout", 0.0) > 0 or getattr(model, "norm", None) == "batch"
    return config.stage.trains and not isinstance(config.optim, LeastSquares) and not joined
