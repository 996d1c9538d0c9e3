"""What a run's code replaces of Python and its libraries is put back; a process that it has changed ends."""

from __future__ import annotations

import builtins
import json
import shutil
import sys
import threading

import pytest
import torch
from torch import nn
from torch.nn import functional

from scaling.security import monkeypatches, worker_reuse
from scaling.security.worker_reuse import permanent_changes_noted


@pytest.fixture
def worker(monkeypatch):
    """Let this be a worker's process, in which a module of the user's own, this one, has come to what it remembers."""
    monkeypatch.setattr(monkeypatches, "_loaded", set())
    monkeypatch.setattr(worker_reuse, "_left", [])
    monkeypatches.originals.cache_clear()
    monkeypatch.setattr(worker_reuse, "_worker", threading.Event())
    worker_reuse.begin_work()
    monkeypatches._loaded.discard(__name__)
    yield
    monkeypatches.originals.cache_clear()


def replace_functions(monkeypatch):
    monkeypatch.setattr(functional, "gelu", functional.relu)
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: x)
    monkeypatch.setattr(torch.Tensor, "backward", None)
    monkeypatch.setattr(builtins, "sorted", list)
    monkeypatch.setattr(shutil, "copy", None)
    monkeypatch.delattr(json, "dumps")


def test_what_was_replaced_is_put_back_and_told(worker, monkeypatch):
    own = (functional.gelu, nn.Linear.forward, torch.Tensor.backward, sorted, shutil.copy, json.dumps)
    with permanent_changes_noted():
        replace_functions(monkeypatch)
    assert (functional.gelu, nn.Linear.forward, torch.Tensor.backward, sorted, shutil.copy, json.dumps) == own
    assert worker_reuse.permanent_changes().endswith("replaced")


def test_what_was_replaced_before_the_run_when_its_module_was_imported_is_told_too(worker, monkeypatch):
    monkeypatch.setattr(functional, "gelu", functional.relu)
    with permanent_changes_noted():
        assert functional.gelu is functional.relu
    assert worker_reuse.permanent_changes() == "torch.nn.functional.gelu replaced"


def test_what_a_library_wraps_of_its_own_stays(worker):
    before = torch.optim.Adadelta.step
    with permanent_changes_noted():
        torch.optim.Adadelta([torch.zeros(1)])
    assert torch.optim.Adadelta.step is not before
    assert worker_reuse.permanent_changes() == ""


@pytest.mark.parametrize(
    ("mode", "told"),
    [
        (lambda: torch.autocast("cpu", dtype=torch.bfloat16), "autocast on cpu"),
        (torch.inference_mode, "inference mode"),
        (torch.overrides.BaseTorchFunctionMode, "a mode for torch's functions"),
    ],
)
def test_a_mode_that_stays_entered_is_told(worker, mode, told):
    held = mode()
    with permanent_changes_noted():
        held.__enter__()
    held.__exit__(None, None, None)
    assert worker_reuse.permanent_changes() == told


def test_a_hook_and_a_thread_that_stay_are_told(worker):
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="theirs")
    with permanent_changes_noted():
        hook = nn.modules.module.register_module_forward_hook(lambda *_: None)
        thread.start()
    hook.remove()
    over.set()
    thread.join()
    assert worker_reuse.permanent_changes() == "the thread theirs; a hook on all modules or optimisers"


@pytest.mark.parametrize("name", ["tqdm_monitor", "InductorSubproc"])
def test_an_idle_thread_of_a_library_may_stay(worker, name):
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name=name)
    with permanent_changes_noted():
        thread.start()
    over.set()
    thread.join()
    assert worker_reuse.permanent_changes() == ""


def test_only_workers_look(worker, monkeypatch):
    worker_reuse._worker.clear()
    with permanent_changes_noted():
        monkeypatch.setattr(shutil, "copy", None)
    assert shutil.copy is None
    assert __name__ in sys.modules
    assert worker_reuse.permanent_changes() == ""
