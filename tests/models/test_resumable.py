"""A user's module whose state would be lost with a killed worker, or changed by an evaluation, is refused."""

from __future__ import annotations

import itertools
import random
from collections import deque
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from scaling.errors import UserError
from scaling.models.resumable import check_resumable

SHAPE = (6,)


class Net(nn.Module):
    """A net whose hidden layer `kind` changes."""

    def __init__(self, kind):
        super().__init__()
        self.first, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.kind = kind
        self.begin = getattr(self, f"begin_{kind}", lambda: None)
        self.begin()

    def forward(self, x):
        return self.head(getattr(self, self.kind)(self.first(x).relu()))

    def begin_generator(self):
        self.g = torch.Generator().manual_seed(0)

    def generator(self, h):
        return h + torch.randn(h.shape, generator=self.g)

    def begin_numpy(self):
        self.g = np.random.default_rng(0)

    def numpy(self, h):
        return h * self.g.random() if self.training else h

    def begin_python(self):
        self.g = random.Random(0)

    def python(self, h):
        return h * self.g.random()

    def begin_an_object(self):
        self.of = SimpleNamespace(calls=0)

    def an_object(self, h):
        self.of.calls += 1
        return h * self.of.calls

    def begin_tensors(self):
        self.last = deque(maxlen=4)

    def tensors(self, h):
        self.last.append(h.detach().mean())
        return h - sum(self.last)

    def begin_a_closure(self):
        calls = itertools.count(1)
        self.first.register_forward_hook(lambda module, x, out: out * next(calls))

    def a_closure(self, h):
        return h

    def begin_an_array(self):
        self.calls = np.zeros(1)

    def an_array(self, h):
        self.calls += 1
        return h * float(self.calls[0])

    def begin_turns(self):
        self.of = itertools.cycle([1.0, 2.0])

    def turns(self, h):
        return h * next(self.of)

    # what may be kept
    def global_draws(self, h):
        return nn.functional.dropout(h) * random.random() * np.random.random()

    def begin_numbers(self):
        self.calls, self.nested = 0, {"calls": [0]}
        self.register_buffer("unsaved", torch.zeros(()), persistent=False)

    def numbers(self, h):
        self.calls += 1
        self.nested["calls"].append(1)
        self.unsaved += 1
        return h * self.calls * len(self.nested["calls"]) * self.unsaved

    def begin_a_cache(self):
        self.made = {}

    def a_cache(self, h):
        return h * self.made.setdefault(len(h), torch.ones(1)) * self.made.setdefault("once", 2)

    def begin_watched(self):
        self.seen = []
        self.first.register_forward_hook(lambda module, x, out: self.seen.append(out))

    def watched(self, h):
        return h

    def begin_normed(self):
        self.first, self.norm = spectral_norm(self.first), nn.BatchNorm1d(8)

    def normed(self, h):
        return self.norm(h)

    def begin_aliased(self):
        self.first = nn.utils.spectral_norm(self.first)  # its `weight` first shares memory with the parameter

    def aliased(self, h):
        return h


class Adapted(nn.Linear):
    """Its own state_dict has only its bias."""

    def state_dict(self, *args, **keys):
        return {name: value for name, value in super().state_dict(*args, **keys).items() if name != "weight"}

    def load_state_dict(self, state_dict, strict=True, assign=False):
        return super().load_state_dict(state_dict, strict=False, assign=assign)


def test_weights_that_its_own_state_dict_leaves_out_are_refused_unless_they_are_frozen():
    def make(*, frozen):
        module = Adapted(6, 3)
        module.weight.requires_grad_(not frozen)
        return module

    with pytest.raises(UserError, match="or weights that its own state_dict leaves out"):
        check_resumable("Adapted", lambda: make(frozen=False), SHAPE, seed=0)
    check_resumable("Adapted", lambda: make(frozen=True), SHAPE, seed=0)


def check(kind):
    check_resumable(kind, lambda: Net(kind), SHAPE, seed=0)


@pytest.mark.parametrize(
    "kind", ["generator", "numpy", "python", "an_object", "tensors", "a_closure", "an_array", "turns"]
)
def test_state_that_no_checkpoint_has_is_refused(kind):
    with pytest.raises(UserError, match=f"found {kind} with state that evaluation changes or checkpoints lack"):
        check(kind)


@pytest.mark.parametrize("kind", ["global_draws", "numbers", "a_cache", "watched", "normed", "aliased"])
def test_what_checkpoints_have_or_nothing_depends_on_is_kept(kind):
    check(kind)
