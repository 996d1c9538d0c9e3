"""What the user's code may change of the process that it runs in: as usual when it begins, given back when it ends.

Runs follow one another in a worker. What the code of one leaves behind would else change the numbers of the next, or
end it. Importing this imports no torch.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM)
Restore = Callable[[], object]


@contextmanager
def usual_process() -> Iterator[None]:
    """Let code begin as in a new process, and leave what it changes of this one as it was."""
    with warnings.catch_warnings():
        restores = [*_torch_state(), *_python_state()]
        try:
            yield
        finally:
            for restore in restores:
                with suppress(OSError, ValueError):  # a folder that is gone, a handler that is not Python's
                    restore()


def _torch_state() -> Iterator[Restore]:
    """Set torch's global settings to its defaults; yield what gives back those that a process may have chosen."""
    if "torch" not in sys.modules:
        return
    import torch

    threads, grad = torch.get_num_threads(), torch.is_grad_enabled()
    strict, warn = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn, anomaly = torch.backends.cudnn, torch.is_anomaly_enabled()
    benchmark, repeatable = cudnn.benchmark, cudnn.deterministic

    def plain() -> None:
        torch.set_default_dtype(torch.float32)
        if torch.get_default_device().type != "cpu":
            torch.set_default_device(None)
        torch.set_flush_denormal(False)

    def given_back() -> None:
        plain()
        torch.set_grad_enabled(grad)
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        now = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        if now != (strict, warn):  # to set it imports torch._inductor: 0.7 s
            torch.use_deterministic_algorithms(strict, warn_only=warn)
        torch.set_anomaly_enabled(anomaly)
        cudnn.benchmark, cudnn.deterministic = benchmark, repeatable

    plain()
    yield given_back


def _python_state() -> Iterator[Restore]:
    umask = os.umask(0o777)
    os.umask(umask)
    yield lambda: os.umask(umask)
    with suppress(OSError):
        here = os.getcwd()  # noqa: PTH109 - a folder that is gone has no name
        yield lambda: os.chdir(here)
    environment, path = dict(os.environ), list(sys.path)
    errors, depth, collects = np.geterr(), sys.getrecursionlimit(), gc.isenabled()

    def given_back() -> None:
        for name in set(os.environ) - set(environment):
            del os.environ[name]
        os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})
        sys.path[:] = path
        np.seterr(**errors)
        sys.setrecursionlimit(depth)
        (gc.enable if collects else gc.disable)()

    yield given_back
    if threading.current_thread() is threading.main_thread():
        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        yield lambda: _hear_again(handlers)


def _hear_again(handlers: Mapping[signal.Signals, Any]) -> None:
    if signal.getitimer(signal.ITIMER_REAL)[0]:
        signal.alarm(0)
    for number, handler in handlers.items():
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)
