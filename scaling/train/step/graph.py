"""Capture work on a GPU as a CUDA graph, which is launched faster than its kernels one by one."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial

import torch

from scaling.security.worker_reuse import note

WARM_UPS = 2  # runs before the capture, in which libraries and buffers are initialised


class NotCaptured(RuntimeError):
    """Work that cannot be captured, with the reason."""


def capture(
    work: Callable[[], None], device: torch.device, *, generators: Sequence[torch.Generator], check: Callable[[], None]
) -> Callable[[], None]:
    """Capture `work` as a CUDA graph and return a function that replays it.

    Raises NotCaptured if the work waits for the device or cannot be captured for another reason. The work is first done
    twice as a warm-up; check: called afterwards, restores what it changed, and may raise NotCaptured. generators: on
    the device, from which the work draws in addition to torch's own.
    """
    stream, why = _capture_stream(torch.cuda.current_stream(device)), ""
    try:
        with _queued_on(stream, device):
            for number in range(WARM_UPS):
                with _no_waiting(number == WARM_UPS - 1):
                    work()
        check()
        graph = _captured(work, stream, device, generators)
    except NotCaptured:
        raise
    except RuntimeError as error:
        why = _reason(error)
        _free_generators(device, generators)
    if why:
        raise NotCaptured(why)  # here, without the frames of the error, which hold its tensors
    return partial(_replay, graph, work)


def _captured(
    work: Callable[[], None], stream: torch.cuda.Stream, device: torch.device, generators: Sequence[torch.Generator]
) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    for generator in generators:
        graph.register_generator_state(generator)
    try:
        # If a capture fails, torch leaves its stream the current one. Other threads are not restricted: they draw or
        # gather examples and write checkpoints.
        with (
            torch.cuda.stream(torch.cuda.current_stream(device)),
            torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"),
        ):
            work()
    except RuntimeError:
        if not _has_ended(graph):  # torch then goes on to reserve memory for it
            note("torch in the middle of a CUDA graph capture")
        raise
    torch.cuda.current_stream(device).wait_stream(stream)  # on which torch has set up the generators
    return graph


def _has_ended(graph: torch.cuda.CUDAGraph) -> bool:
    try:
        graph.pool()
    except RuntimeError:  # "without a preceding successful capture"
        return False
    return True


def _reason(error: RuntimeError) -> str:
    """Return the first line of an error; in a capture, of the first error, which is followed by one of torch's own."""
    first = error.__context__ or error
    lines = str(first).strip().splitlines() or [type(first).__name__]
    return lines[0]


def _replay(graph: torch.cuda.CUDAGraph, _: Callable[[], None]) -> None:
    """Replay a graph; the second argument keeps the tensors alive that the graph reads and writes."""
    graph.replay()


@cache
def _capture_stream(current: torch.cuda.Stream) -> torch.cuda.Stream:
    """Return the stream for all captures whose graphs are replayed on `current`.

    cuBLAS keeps a workspace of 32 MiB for each stream; graphs captured on the same stream share it.
    """
    return torch.cuda.Stream(current.device)


@contextmanager
def _queued_on(stream: torch.cuda.Stream, device: torch.device) -> Iterator[None]:
    """Queue work on another stream, ordered after earlier and before later work on the current one."""
    current = torch.cuda.current_stream(device)
    stream.wait_stream(current)
    try:
        with torch.cuda.stream(stream):
            yield
    finally:
        current.wait_stream(stream)  # also after an error: what was queued must not change what is restored next


@contextmanager
def _no_waiting(wanted: bool) -> Iterator[None]:
    """Raise RuntimeError if torch would wait for the device."""
    before = torch.cuda.get_sync_debug_mode()
    _set_debug_mode("error" if wanted else before)
    try:
        yield
    finally:
        _set_debug_mode(before)


def _set_debug_mode(mode: int | str) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Synchronization debug mode is a prototype")
        torch.cuda.set_sync_debug_mode(mode)


def _free_generators(device: torch.device, generators: Sequence[torch.Generator]) -> None:
    """Give the generators new states, detached from a failed capture."""
    index = torch.cuda.current_device() if device.index is None else device.index
    for generator in (*generators, torch.cuda.default_generators[index]):
        generator.graphsafe_set_state(generator.clone_state())
