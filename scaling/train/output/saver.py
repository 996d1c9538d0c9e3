"""Checkpoints during training: the state is copied at once, and written in a thread."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from time import monotonic
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

log = logging.getLogger(__name__)


class Saver:
    """Saves the result of `state` with `write` in a thread; leaving the block waits for the last write.

    cost: seconds that the last finished checkpoint took (copy and write), 0 before the first. An error in `write` is
    raised by the next call, or on leaving the block.
    """

    def __init__(self, state: Callable[[], dict[str, Any]], write: Callable[[dict[str, Any]], None]) -> None:
        self.cost = 0.0
        self._state, self._write = state, write
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="checkpoint")
        self._pending: Future[float] | None = None

    def save(self) -> None:
        """Wait for a write in progress, copy the state and start to write it."""
        self.wait()
        started = monotonic()
        self._pending = self._pool.submit(self._timed, snapshot(self._state()), started)

    def check(self) -> None:
        """Raise the error of a write that has failed, without waiting."""
        if self._pending is not None and self._pending.done():
            self.wait()

    def wait(self) -> None:
        """Wait for a write in progress."""
        pending, self._pending = self._pending, None
        if pending is not None:
            self.cost = pending.result()

    def _timed(self, state: dict[str, Any], started: float) -> float:
        self._write(state)
        return monotonic() - started

    def __enter__(self) -> Saver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()
        if error is None:
            self.wait()
        elif self._pending is not None and self._pending.exception() is not None:
            log.warning("the last checkpoint was not written: %s", self._pending.exception())


def snapshot(value: Any) -> Any:
    """Return a deep copy of nested plain values, with all tensors in host memory."""
    copy = _apart(value)
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()  # GPU tensors are copied asynchronously
    return copy


def _apart(value: Any) -> Any:
    if isinstance(value, Tensor):
        return _copied(value.detach())
    if isinstance(value, Mapping):
        return {key: _apart(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_apart(item) for item in value)
    return value


def _copied(tensor: Tensor) -> Tensor:
    if tensor.device.type != "cuda":
        return tensor.to("cpu", copy=True)
    # The device writes to pinned memory at several times the speed.
    return torch.empty_like(tensor, device="cpu", pin_memory=True).copy_(tensor, non_blocking=True)
