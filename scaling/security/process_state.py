"""Process state that a user's code may change: reset when a run begins, and restored when it ends.

A worker trains several runs. Otherwise changes by one run's code could affect the results of the next, or end it.
Importing this imports no torch.
"""

from __future__ import annotations

import errno
import gc
import logging
import os
import resource
import signal
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from scaling.security.worker_reuse import end_worker, note, permanent_changes_noted

SIGNALS = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
LIMITS = tuple(getattr(resource, name) for name in dir(resource) if name.startswith("RLIMIT_"))
OUTPUTS = ("stdin", "stdout", "stderr")  # in sys, and by position the descriptors 0, 1 and 2
Restore = Callable[[], object]


@contextmanager
def worker_process() -> Iterator[None]:
    """Apply `usual_process` to a whole run, and note changes that cannot be undone."""
    with usual_process(), permanent_changes_noted():
        yield


@contextmanager
def usual_process() -> Iterator[None]:
    """Let the block start as in a new process, and afterwards undo its changes to this one.

    A fork made by the block's code that leaves the block ends here, so that only one process continues.
    """
    pid = os.getpid()
    with warnings.catch_warnings():
        restores = [*_system_state(), *_torch_state(), *_python_state()]
        try:
            yield
        finally:
            if os.getpid() != pid:
                os._exit(1)
            for restore in restores:
                _restored(restore)


def _restored(restore: Restore) -> None:
    try:
        restore()
    except (OSError, ValueError):  # a folder that is gone, a handler that is not Python's
        pass
    except Exception as error:
        note(f"what cannot be restored ({type(error).__name__}: {error})")


def _torch_state() -> Iterator[Restore]:
    """Set torch's global settings to their defaults; yield a function that restores the previous ones."""
    if "torch" not in sys.modules:
        return
    import torch

    from scaling.internals.torch import global_hooks

    threads, grad, anomaly = torch.get_num_threads(), torch.is_grad_enabled(), torch.is_anomaly_enabled()
    cudnn, repeatable = torch.backends.cudnn, _repeatable()
    benchmark, deterministic = cudnn.benchmark, cudnn.deterministic
    hooks = [(place, place.copy()) for place in global_hooks()]
    casts = {device: torch.is_autocast_enabled(device) for device in ("cpu", "cuda")}

    def given_back() -> None:
        _reset_torch()
        torch.set_grad_enabled(grad)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        if _repeatable() != repeatable:  # setting it imports torch._inductor, which takes 0.7 s
            torch.use_deterministic_algorithms(repeatable[0], warn_only=repeatable[1])
        for place, before in hooks:
            if place != before:
                place.clear()
                place.update(before)
        for device, cast in casts.items():
            if torch.is_autocast_enabled(device) != cast:
                torch.set_autocast_enabled(device, cast)
        torch.set_anomaly_enabled(anomaly)
        cudnn.benchmark, cudnn.deterministic = benchmark, deterministic

    _reset_torch()
    yield given_back


def _reset_torch() -> None:
    """Set those of torch's global settings to their defaults that a run must not inherit."""
    import torch

    torch.set_default_dtype(torch.float32)
    if torch.empty(0).device.type != "cpu":  # torch 2.6 cannot name its default after it was set to None
        torch.set_default_device(None)
    torch.set_flush_denormal(False)


def _repeatable() -> tuple[bool, bool]:
    """Return whether torch uses only deterministic algorithms, and whether it only warns of others."""
    import torch

    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _system_state() -> Iterator[Restore]:
    limits = {which: resource.getrlimit(which) for which in LIMITS}
    yield lambda: _limit_again(limits)
    copies = [_copy(descriptor) for descriptor in range(len(OUTPUTS))]
    outputs = {name: getattr(sys, name) for name in OUTPUTS}
    files = _open_files()
    yield lambda: _close_leaked(files)
    yield lambda: _output_again(copies, outputs)


def _limit_again(limits: Mapping[int, tuple[int, int]]) -> None:
    for which, before in limits.items():
        if resource.getrlimit(which) == before:
            continue
        try:
            resource.setrlimit(which, before)
        except (ValueError, OSError):  # a hard limit that was lowered stays so
            end_worker("a limit of resources was lowered for good")


def _open_files() -> frozenset[int]:
    with suppress(OSError):  # no /proc
        return frozenset(map(int, os.listdir("/proc/self/fd")))  # noqa: PTH208 - a third of the time of Path
    return frozenset()


def _close_leaked(before: Collection[int]) -> None:
    """If no further file can be opened, close those that were opened meanwhile."""
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        if error.errno != errno.EMFILE or not before:
            return
        note("files left open")
        for descriptor in set(range(resource.getrlimit(resource.RLIMIT_NOFILE)[0])) - set(before):
            with suppress(OSError):
                os.close(descriptor)


def _copy(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # closed before
        return None


def _output_again(copies: Sequence[int | None], outputs: Mapping[str, Any]) -> None:
    for descriptor, copy in enumerate(copies):
        if copy is not None:
            if not _same_file(descriptor, copy):
                os.dup2(copy, descriptor)
            os.close(copy)
    for place, (name, stream) in enumerate(outputs.items()):
        if getattr(stream, "closed", False):
            new = os.fdopen(place, "w" if place else "r", buffering=1, closefd=False)
            setattr(sys, name, new)
            setattr(sys, f"__{name}__", new)
            _log_again(stream, new)
        elif getattr(sys, name) is not stream:
            setattr(sys, name, stream)


def _log_again(closed: Any, stream: Any) -> None:
    known = logging.root.manager.loggerDict.values()
    for logger in (logging.root, *(each for each in known if isinstance(each, logging.Logger))):
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler) and handler.stream is closed:
                handler.stream = stream  # setStream would flush the closed one


def _same_file(descriptor: int, other: int) -> bool:
    try:
        return os.path.sameopenfile(descriptor, other)
    except OSError:
        return False


def _python_state() -> Iterator[Restore]:
    umask = os.umask(0o777)
    os.umask(umask)
    yield lambda: os.umask(umask)
    with suppress(OSError):
        here = os.getcwd()  # noqa: PTH109 - a folder that is gone has no name
        yield lambda: os.chdir(here)
    environ, environment, modules = os.environ, dict(os.environ), dict(sys.modules)
    searched, path = sys.path, list(sys.path)
    errors, depth, collects = np.geterr(), sys.getrecursionlimit(), gc.isenabled()
    quiet, temporary, hook = logging.root.manager.disable, tempfile.tempdir, sys.excepthook
    trace, profile = sys.gettrace(), sys.getprofile()

    def given_back() -> None:
        os.environ, sys.path = environ, searched  # code may have replaced the objects
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})
        sys.path[:] = path
        sys.modules.update({name: module for name, module in modules.items() if sys.modules.get(name) is not module})
        if sys.gettrace() is not trace:
            sys.settrace(trace)
        if sys.getprofile() is not profile:
            sys.setprofile(profile)
        sys.excepthook, tempfile.tempdir = hook, temporary
        logging.disable(quiet)
        np.seterr(**errors)
        sys.setrecursionlimit(depth)
        (gc.enable if collects else gc.disable)()

    yield given_back
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        yield lambda: _restore_signals(handlers)


def _restore_signals(handlers: Mapping[signal.Signals, Any]) -> None:
    for timer in TIMERS:
        if signal.getitimer(timer)[0]:
            signal.setitimer(timer, 0)
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
