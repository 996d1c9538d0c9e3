"""Whatever code of users changes of its process, the next run begins as in a new one."""

from __future__ import annotations

import gc
import os
import signal
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from scaling.security.process_state import usual_process
from scaling.train.run import train_run
from tests.train.runs import essence, folder_of, planned


def double():
    torch.set_default_dtype(torch.float64)


def elsewhere():
    torch.set_default_device("meta")


def threads():
    torch.set_num_threads(torch.get_num_threads() + 1)


def without_gradients():
    torch.set_grad_enabled(False)


def strict():
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    torch.set_anomaly_enabled(True)
    torch.set_flush_denormal(True)


def python():
    np.seterr(all="raise")
    warnings.simplefilter("error")
    sys.setrecursionlimit(sys.getrecursionlimit() + 1)
    sys.path.clear()
    os.chdir("/")
    os.umask(0o777)
    os.environ["XDG_CACHE_HOME"] = "/nowhere"
    os.environ.pop("HOME", None)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.alarm(600)
    gc.disable()


ACTS = [double, elsewhere, threads, without_gradients, strict, python]


def state():
    umask = os.umask(0o22)
    os.umask(umask)
    return {
        "torch": (torch.get_default_dtype(), torch.get_default_device(), torch.get_num_threads()),
        "modes": (torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled()),
        "small": torch.tensor(1e-40).mul(1.0).item(),
        "cudnn": torch.backends.cudnn.benchmark,
        "numpy": np.geterr(),
        "python": (sys.getrecursionlimit(), list(sys.path), list(warnings.filters), gc.isenabled()),
        "process": (Path.cwd(), umask, dict(os.environ), signal.getsignal(signal.SIGTERM)),
        "alarm": signal.getitimer(signal.ITIMER_REAL)[0],
    }


@pytest.mark.parametrize("act", ACTS)
def test_it_is_given_back(act):
    before = state()
    with usual_process():
        act()
    assert state() == before


def test_it_begins_as_usual():
    """Whatever a module has set when it was imported: which run comes first in a process is chance."""
    torch.set_default_dtype(torch.float64)
    torch.set_default_device("meta")
    with usual_process():
        assert torch.ones(1).dtype == torch.float32
        assert torch.ones(1).device.type == "cpu"
    assert torch.ones(1).dtype == torch.float32


@pytest.mark.parametrize("act", ["double", "without_gradients"])
def test_the_next_run_is_what_it_is_alone(tmp_path, act):
    one = planned({"steps": 8})
    bad = planned({"steps": 8}, model={"is": "custom", "module": "tests.train.nets.Acting", "kwargs": {"act": act}})
    alone = train_run(one, folder_of(one, tmp_path / "alone"), device="cpu")
    with suppress(RuntimeError):  # its own
        train_run(bad, folder_of(bad, tmp_path / "after"), device="cpu")
    after = train_run(one, folder_of(one, tmp_path / "after"), device="cpu")
    assert essence(alone) == essence(after)
