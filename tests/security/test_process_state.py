"""Whatever code of users changes of its process, the next run begins as in a new one."""

from __future__ import annotations

import gc
import logging
import os
import resource
import signal
import sys
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook

from scaling.internals.torch import global_hooks
from scaling.security import worker_reuse as process_wear
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


def hooked():
    torch.nn.modules.module.register_module_forward_hook(lambda module, x, out: 2 * out)
    torch.nn.modules.module.register_module_forward_pre_hook(lambda module, x: (2 * x[0],))
    torch.nn.modules.module.register_module_parameter_registration_hook(lambda module, name, value: None)
    register_optimizer_step_post_hook(lambda *_: None)
    torch.set_autocast_enabled("cpu", True)


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


def system():
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    signal.setitimer(signal.ITIMER_VIRTUAL, 600)
    os.close(2)
    sys.stderr = sys.stdin = None
    logging.disable(logging.CRITICAL)
    tempfile.tempdir = "/nowhere"
    del sys.modules["json"]
    sys.setprofile(lambda *_: None)


def replaced():
    sys.path = ("/nowhere",)
    os.environ = {}  # noqa: B003 - as users may


ACTS = [double, elsewhere, threads, without_gradients, strict, hooked, python, system, replaced]


def state():
    umask = os.umask(0o22)
    os.umask(umask)
    return {
        "torch": (torch.get_default_dtype(), torch.empty(0).device, torch.get_num_threads()),
        "modes": (torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled()),
        "small": torch.tensor(1e-40).mul(1.0).item(),
        "cudnn": torch.backends.cudnn.benchmark,
        "hooks": ([len(found) for found in global_hooks()], torch.is_autocast_enabled("cpu")),
        "numpy": np.geterr(),
        "python": (sys.getrecursionlimit(), id(sys.path), list(sys.path), list(warnings.filters), gc.isenabled()),
        "process": (Path.cwd(), umask, os.environ, dict(os.environ), signal.getsignal(signal.SIGTERM)),
        "alarms": (signal.getitimer(signal.ITIMER_REAL)[0], signal.getitimer(signal.ITIMER_VIRTUAL)[0]),
        "limit": resource.getrlimit(resource.RLIMIT_FSIZE),
        "outputs": (sys.stderr, sys.stdin, os.fstat(2).st_ino),
        "rest": (signal.getsignal(signal.SIGQUIT), logging.root.manager.disable, tempfile.tempdir, sys.getprofile()),
        "modules": sys.modules["json"],
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


def test_where_no_file_can_be_opened_any_more_those_of_the_run_are_closed():
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened = []

    def leak():
        while True:
            opened.append(os.open(os.devnull, os.O_RDONLY))

    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (max(int(each.name) for each in Path("/proc/self/fd").iterdir()) + 20, most[1])
        )
        with pytest.raises(OSError, match="Too many open files"), usual_process():
            leak()
        os.close(os.open(os.devnull, os.O_RDONLY))
        left = [each for each in opened if Path(f"/proc/self/fd/{each}").exists()]
        assert len(left) <= 1  # its number may be that by which the open ones were listed
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
        process_wear._left.clear()


def test_a_stream_that_was_closed_is_open_again(tmp_path, monkeypatch):
    with (tmp_path / "out").open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "__stdout__", stream)
        handler = logging.StreamHandler(stream)
        logging.getLogger("theirs").addHandler(handler)
        with usual_process():
            sys.stdout.close()
        assert not sys.stdout.closed
        assert sys.__stdout__ is handler.stream is sys.stdout
