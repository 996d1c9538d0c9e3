"""Modules of users that draw, and modules some of whose weights are not trained."""

from __future__ import annotations

import random
from math import prod
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn import functional


class Net(nn.Module):
    """A small network of six features and three classes."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__()
        self.first, self.middle = nn.Linear(shape[0], width), nn.Linear(width, width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(torch.relu(self.middle(torch.relu(self.first(x)))))


class DoubleHead(Net):
    """Its head computes in double precision."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.head.double()

    def forward(self, x):
        return self.head(torch.relu(self.middle(torch.relu(self.first(x)))).double())


class ReturningNothing(Net):
    """Its own `train` returns nothing, as many are written."""

    def train(self, mode=True):
        super().train(mode)


class Forgetful(Net):
    """Its dropout does not end with training."""

    def forward(self, x):
        return functional.dropout(super().forward(x), 0.3)


class Noisy(Net):
    """It draws its first weights and its noise, in evaluation too, from NumPy and Python."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        with torch.no_grad():
            self.first.weight.copy_(torch.from_numpy(np.random.standard_normal(self.first.weight.shape)))

    def forward(self, x):
        return super().forward(x * random.uniform(0.5, 1.5) + 0.3 * float(np.random.standard_normal()))


class HalfFrozen(Net):
    """Its first layer stays as it is."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.first.requires_grad_(False)


class Dropping(Net):
    """Stochastic depth: its middle is left out of some steps."""

    def forward(self, x):
        z = torch.relu(self.first(x))
        return self.head(z if self.training and random.random() < 0.3 else z + self.middle(z))


class Counting(Net):
    """It counts its calls, in evaluation too, in every way that a user may, and computes with the counts."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.register_buffer("told", torch.zeros(()))
        self.register_buffer("untold", torch.zeros(()), persistent=False)
        self.number, self.numbers, self.tensor = 0, [0], torch.zeros(())

    def forward(self, x):
        if x.device.type != "meta":
            self.told = self.told + 1
            self.untold += 1
            self.tensor += 1
            self.number += 1
            self.numbers.append(self.numbers[-1] + 1)
        counts = self.told + 2 * self.untold + 3 * self.tensor.to(x) + 5 * self.number + 7 * self.numbers[-1]
        return super().forward(x) * (1 + 1e-3 * counts)


class Tempered(Net):
    """Its outputs are divided by a temperature that is trained, and shifted by a mean that is followed."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.log_temperature = nn.Parameter(torch.zeros(()))
        self.register_buffer("mean", torch.zeros(()))

    def forward(self, x):
        if self.training:
            with torch.no_grad():
                self.mean.mul_(0.9).add_(x.mean(), alpha=0.1)
        return super().forward(x - self.mean) * torch.exp(-self.log_temperature)


class Changing(Net):
    """A module that its user edits while a run is under way."""


class Deeper(Net):
    """What became of it: wider in the middle."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.middle = nn.Sequential(nn.Linear(width, 3 * width), nn.ReLU(), nn.Linear(3 * width, width))


class Convolving(nn.Module):
    """A convolution and a batch norm, which a user may well write."""

    def __init__(self, shape, outputs):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(shape[0], 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4 * shape[1] * shape[2], outputs)

    def forward(self, x):
        return self.head(self.features(x).flatten(1))


class Acting(Net):
    """It changes its process in its third step."""

    ACTS: ClassVar = {
        "double": lambda: torch.set_default_dtype(torch.float64),
        "without_gradients": lambda: torch.set_grad_enabled(False),
    }

    def __init__(self, shape, outputs, *, act, width=8):
        super().__init__(shape, outputs, width=width)
        self.act, self.steps = act, 0

    def forward(self, x):
        self.steps += self.training
        if self.steps == 3:
            self.ACTS[self.act]()
        return super().forward(x)


def layered(shape, outputs, *, kind, width=8):
    """Usual layers one behind the other, with what makes them another function than that."""
    middle = nn.Linear(width, width)
    again = middle if kind == "used twice" else nn.Linear(width, width)
    parts = [
        nn.Linear(shape[0], width),
        nn.ReLU(),
        middle,
        nn.ReLU(),
        again,
        nn.Dropout(0.2),
        nn.Linear(width, outputs),
    ]
    module = Unmoved(*parts) if kind == "out of training" else nn.Sequential(*parts)
    if kind == "tied":
        again.weight = middle.weight
    if kind == "hooked":
        middle.register_forward_hook(lambda _, __, out: 0.5 * out)
    if kind == "hooked backward":
        middle.weight.register_hook(lambda gradient: 0.1 * gradient)
    if kind == "hooked late":
        middle.weight.register_post_accumulate_grad_hook(lambda weight: (weight.grad.mul_(0.1), None)[1])
    if kind == "another forward":
        forward = module.forward
        module.forward = lambda x: forward(0.5 * x)
    module[5].p = 0.2 if kind in ("plain", "out of training") else 0.0  # vmap has no streams for it
    return module


def dropping_layers(shape, outputs, *, shares, width=8):
    """A layer each that is followed by a dropout of one of these shares."""
    parts, inputs = list[nn.Module](), shape[0]
    for share in shares:
        parts += [nn.Linear(inputs, width), nn.ReLU(), nn.Dropout(share)]
        inputs = width
    return nn.Sequential(*parts, nn.Linear(inputs, outputs))


class Unmoved(nn.Sequential):
    """Its dropout leaves nothing out, in training either."""

    def train(self, mode=True):
        super().train(mode)
        self[5].eval()
        return self


class Averaged(Net):
    """It keeps the mean of its inputs in a buffer, by a new tensor for each batch, and is evaluated with it."""

    def __init__(self, shape, outputs):
        super().__init__(shape, outputs)
        self.register_buffer("mean", torch.zeros(shape))

    def forward(self, x):
        if self.training:
            self.mean = 0.9 * self.mean + 0.1 * x.mean(0)
        return super().forward(x if self.training else x - self.mean)


class Annealed(Net):
    """Its outputs grow after twenty steps, which it counts itself."""

    steps = 0

    def forward(self, x):
        self.steps += self.training
        return super().forward(x) * (2 if self.steps > 20 else 1)


class Shifted(Net):
    """It has a value of its own that is no part of its state, in one model of many."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.shift = float(torch.initial_seed() == 3)

    def forward(self, x):
        return super().forward(x + self.shift)


class Projecting(nn.Module):
    """Random features that its seed draws, and their mean in training; `how` says where it keeps both."""

    def __init__(self, shape, outputs, *, how):
        super().__init__()
        self.outputs, self.calls = outputs, 0
        features = torch.randn(prod(shape), 16)
        self.features = features.numpy() if how == "array" else features
        if how == "buffer":
            del self.features
            self.register_buffer("features", features, persistent=False)
        self.mean = torch.zeros(16)
        self.middle, self.head = nn.Linear(16, 16), nn.Linear(16, outputs)

    def forward(self, x):
        z = self.middle((x.flatten(1) @ torch.as_tensor(self.features)).relu())
        if self.training:
            self.calls += 1
            self.mean = self.mean.lerp(z.detach().mean(0), 0.1)
        return self.head((z - self.mean) * (1 + self.calls % 7))


class Extra(Net):
    """It saves a number beside its weights, in torch's own way."""

    calls = 0

    def get_extra_state(self):
        return {"calls": self.calls}

    def set_extra_state(self, state):
        self.calls = state["calls"]


class Renamed(Net):
    """Its weights have other names in its own state_dict."""

    def state_dict(self, *args, **keys):
        return {f"net.{name}": value for name, value in super().state_dict(*args, **keys).items()}

    def load_state_dict(self, state_dict, strict=True, assign=False):
        own = {name.removeprefix("net."): value for name, value in state_dict.items()}
        return super().load_state_dict(own, strict=strict, assign=assign)


class Spectral(Net):
    """Its first layer has the older spectral norm, whose `weight` first shares memory with a parameter."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.first = nn.utils.spectral_norm(self.first)


class NormedHead(Net):
    """Its head begins with a norm."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.head = nn.Sequential(nn.LayerNorm(width), self.head)


class Slow(nn.Module):
    """It is evaluated with an average of its weights."""

    def __init__(self, shape, outputs):
        super().__init__()
        self.net, self.slow = Net(shape, outputs), Net(shape, outputs).requires_grad_(False)

    def forward(self, x):
        if not self.training:
            return self.slow(x)
        with torch.no_grad():
            for slow, fast in zip(self.slow.parameters(), self.net.parameters(), strict=True):
                slow.lerp_(fast, 0.1)
        return self.net(x)


class DeepHead(Net):
    """Its head has two matrices."""

    def __init__(self, shape, outputs, *, width=8):
        super().__init__(shape, outputs, width=width)
        self.head = nn.Sequential(nn.Linear(width, 16), nn.ReLU(), nn.Linear(16, outputs))


class Late(Net):
    """Its parameters are not those that it begins with from its 20th step on; `how`: added, replaced or unfrozen."""

    def __init__(self, shape, outputs, *, width=8, how="added"):
        super().__init__(shape, outputs, width=width)
        self.first.requires_grad_(how != "unfrozen")
        self.how, self.steps = how, 0

    def forward(self, x):
        if self.training and torch.is_grad_enabled() and not x.is_meta:
            self.steps += 1
            if self.steps == 20:
                self.change()
        return super().forward(x)

    def change(self):
        if self.how == "added":
            self.first = nn.Sequential(nn.Identity(), self.first, nn.Linear(8, 8))
        elif self.how == "replaced":
            self.first.weight = nn.Parameter(self.first.weight.detach().clone())
        else:
            self.first.requires_grad_(True)


class Lazy(nn.Sequential):
    """Its layers take their numbers of inputs from the first batch."""

    def __init__(self, shape, outputs):
        super().__init__(nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.LazyLinear(outputs))
