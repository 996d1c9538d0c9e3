"""Modules as users write them."""

from __future__ import annotations

import random
from functools import cache
from typing import ClassVar

import numpy as np
import torch
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm


class Conv(nn.Module):
    def __init__(self, shape, outputs, *, width, depth=1, kernel=3, groups=1):
        super().__init__()
        self.stem = nn.Conv1d(shape[0], width, kernel, padding=kernel // 2)
        body = [nn.Conv1d(width, width, kernel, stride=2, padding=kernel // 2, groups=groups) for _ in range(depth)]
        self.body = nn.Sequential(*[part for conv in body for part in (nn.ReLU(), conv, nn.BatchNorm1d(width))])
        self.out = nn.Linear(width, outputs)

    def forward(self, x):
        return self.out(self.body(self.stem(x)).mean(-1))


class Attention(nn.Module):
    def __init__(self, outputs, width=8):
        super().__init__()
        self.embed = nn.Linear(1, width)
        self.place = nn.Parameter(torch.zeros(40, width))
        self.attend = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        z = self.embed(x.transpose(1, 2)) + self.place
        return self.head((z + self.attend(z, z, z, need_weights=False)[0]).mean(1))


class Recurrent(nn.Module):
    """Two numbers decide in Python, which only a module with numbers can do."""

    def __init__(self, width, outputs):
        super().__init__()
        self.cell, self.readout = nn.Linear(40, width), nn.Linear(width, outputs, bias=False)

    def forward(self, x):
        z = self.cell(x.flatten(1))
        return self.readout(z if float(z.detach().sum()) > -1e9 else -z)


class Tied(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.first = nn.Linear(40, width)
        self.again = nn.Linear(width, width)
        self.once_more = nn.Linear(width, width)
        self.once_more.weight = self.again.weight
        self.last = nn.Linear(width, 10)

    def forward(self, x):
        return self.last(self.once_more(self.again(self.first(x.flatten(1)))))


class Single(nn.Module):
    def __init__(self):
        super().__init__()
        self.map = nn.Linear(40, 10)

    def forward(self, x):
        return self.map(x.flatten(1))


class Wrong(Single):
    def forward(self, x):
        return super().forward(x)[:, :9]


class Otherwise(Single):
    """In evaluation it gives more than in training."""

    def __init__(self, outputs, how="wide"):
        super().__init__()
        self.how = how

    def forward(self, x):
        found = super().forward(x)
        if self.training:
            return found
        return found.repeat(1, 2) if self.how == "wide" else (found, x)


class Broken(Single):
    def forward(self, x):
        return self.map(x[..., :7])


class InPlace(Single):
    """It changes the examples that it is given, in evaluation alone."""

    def forward(self, x):
        if not self.training:
            x.flatten(1).mul_(0.5)
        return super().forward(x)


class Unseeded(Single):
    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.map.bias += torch.from_numpy(np.random.default_rng().random(10))


class Counting(Single):
    """What its class counts changes its outputs in training."""

    steps = 0

    def forward(self, x):
        type(self).steps += self.training
        return super().forward(x) * (1 + 0.1 * type(self).steps)


@cache
def projection(n, m):
    return torch.randn(n, m)


class Cached(Single):
    """Its first weights are those of the first one that was made."""

    def __init__(self):
        super().__init__()
        with torch.no_grad():
            self.map.weight.copy_(projection(10, 40))


class KeptCached(Cached):
    """The same, under a name of its own."""


class OnMeta(nn.Module):
    """Its first layer has no values yet."""

    def __init__(self, outputs):
        super().__init__()
        self.first, self.head = nn.Linear(40, 8, device="meta"), nn.Linear(8, outputs)

    def forward(self, x):
        return self.head(self.first(x.flatten(1)))


class Energy(nn.Module):
    """Its outputs are the first components of the gradient of an energy in the examples."""

    def __init__(self, outputs):
        super().__init__()
        self.first, self.head, self.outputs = nn.Linear(40, 8), nn.Linear(8, 1, bias=False), outputs

    def forward(self, x):
        with torch.enable_grad():
            x = x.detach().flatten(1).requires_grad_()
            energy = self.head(torch.tanh(self.first(x))).sum()
            return torch.autograd.grad(energy, x, create_graph=True)[0][:, : self.outputs]


class Idle(Single):
    def __init__(self):
        super().__init__()
        self.spare = nn.Linear(3, 3)


class Frozen(nn.Module):
    """Its lower layers stay as they were drawn; a bias among them is trained where `tuned`."""

    def __init__(self, outputs, *, tuned=False):
        super().__init__()
        self.first, self.second = nn.Linear(40, 8), nn.Linear(8, 6)
        self.norm, self.head = nn.LayerNorm(6), nn.Linear(6, outputs)
        for parameter in (*self.first.parameters(), *self.second.parameters()):
            parameter.requires_grad = False
        self.first.bias.requires_grad = tuned

    def forward(self, x):
        return self.head(self.norm(self.second(self.first(x.flatten(1)).relu())))


class AllFrozen(Frozen):
    def __init__(self, outputs):
        super().__init__(outputs)
        self.requires_grad_(False)


class Dropped(nn.Module):
    """It leaves its middle out of some passes of training, as stochastic depth does now and then."""

    def __init__(self, outputs, passes=100):
        super().__init__()
        self.passes = passes
        self.first, self.middle, self.head = nn.Linear(40, 8), nn.Linear(8, 8), nn.Linear(8, outputs)

    def forward(self, x):
        z = self.first(x.flatten(1))
        self.passes -= self.training
        return self.head(z if self.training and self.passes >= 0 else z + self.middle(z))


def drawing(outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(40, 8), nn.Dropout(0.5), nn.Linear(8, outputs))


class InList(nn.Module):
    """Its first layer is in a plain list, where torch does not find it."""

    def __init__(self, shape, outputs, width=8, *, frozen=False):
        super().__init__()
        self.layers, self.head = [nn.Linear(shape[-1], width).requires_grad_(not frozen)], nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.layers[0](x.flatten(1)).relu())


class Bare(Single):
    """Its scale is a tensor, not a parameter."""

    def __init__(self):
        super().__init__()
        self.scale = torch.ones(10, requires_grad=True)


class Detached(Single):
    def forward(self, x):
        return super().forward(x).detach()


class Leaving(Single):
    def forward(self, x):
        raise SystemExit


class Seeding(Single):
    """It seeds a global generator where it is made, or at every call."""

    CALLS: ClassVar = {"torch": torch.manual_seed, "numpy": np.random.seed, "python": random.seed}

    def __init__(self, *, which="torch", each_call=False, forked=False):
        with torch.random.fork_rng(enabled=forked):
            if not each_call:
                self.CALLS[which](0)
            super().__init__()
        self.which, self.each_call = which, each_call

    def forward(self, x):
        if self.each_call:
            self.CALLS[self.which](1)
        return nn.functional.dropout(super().forward(x), training=self.training)


class Passing(InList):
    """It hands what it does not know itself on to its base class."""

    def __init__(self, *args, slope=0.1, **kwargs):
        super().__init__(*args, frozen=True, **kwargs)
        self.slope = slope


class Blocks(nn.Module):
    """A parameter of the root beside blocks in a list, which is never called itself; the last layer is made first."""

    def __init__(self, outputs, width=8):
        super().__init__()
        self.readout = nn.Linear(width, outputs)
        self.place = nn.Parameter(torch.zeros(1, width))
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(2)])
        self.stem = nn.Linear(40, width)

    def forward(self, x):
        z = self.stem(x.flatten(1)) + self.place
        for block in self.blocks:
            z = torch.relu(block(z))
        return self.readout(z)


class Experts(nn.Module):
    """Weights of the root that multiply, beside layers."""

    def __init__(self, outputs, width=8):
        super().__init__()
        self.experts = nn.Parameter(torch.randn(2, width, width))
        self.stem = nn.Linear(40, width)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        z = self.stem(x.flatten(1))
        return self.head(torch.relu(z @ self.experts[0]) + torch.relu(z @ self.experts[1]))


class Routed(nn.Module):
    """Each example goes to the one expert that a router, which begins at zero, chooses.

    never: one is never chosen; preferred: at first the first one always is.
    """

    def __init__(self, outputs, width=8, experts=3, *, never=False, preferred=False):
        super().__init__()
        self.stem, self.router = nn.Linear(40, width), nn.Linear(width, experts)
        self.experts = nn.ModuleList([nn.Linear(width, width) for _ in range(experts + never)])
        self.head = nn.Linear(width, outputs)
        nn.init.zeros_(self.router.weight)
        nn.init.zeros_(self.router.bias)
        self.router.bias.data[0] += 2.0 * preferred

    def forward(self, x):
        z = self.stem(x.flatten(1))
        shares, chosen = self.router(z).softmax(1).max(1)
        mixed = torch.zeros_like(z)
        for i, expert in enumerate(self.experts):
            rows = torch.nonzero(chosen == i)[:, 0]
            if len(rows):
                mixed = mixed.index_add(0, rows, expert(z[rows]) * shares[rows, None])
        return self.head(z + mixed)


class Parametrized(nn.Module):
    """Layers whose weights torch makes of others."""

    def __init__(self, outputs, width=8):
        super().__init__()
        self.stem = spectral_norm(nn.Linear(40, width))
        self.body = spectral_norm(nn.Linear(width, width))
        self.out = spectral_norm(nn.Linear(width, outputs))

    def forward(self, x):
        return self.out(torch.relu(self.body(torch.relu(self.stem(x.flatten(1))))))


class Tokens(nn.Module):
    """Numbers as tokens: the first layer is a table, which multiplies nothing."""

    def __init__(self, outputs, width=8):
        super().__init__()
        self.place = nn.Embedding(40, width)
        self.token = nn.Embedding(5, width)
        self.attend = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        z = self.token(x.flatten(1).clamp(0, 4).long()) + self.place.weight
        return self.head(self.attend(z, z, z, need_weights=False)[0].mean(1))


class Merged(nn.Module):
    """A weight made of two others in each pass."""

    def __init__(self, outputs, width=8, rank=3):
        super().__init__()
        self.stem = nn.Linear(40, width)
        self.up, self.down = nn.Parameter(torch.randn(width, rank)), nn.Parameter(torch.randn(rank, width))
        self.head = nn.Linear(width, outputs)

    def forward(self, x):
        return self.head(self.stem(x.flatten(1)) @ (self.up @ self.down))


class MergedFirst(Merged):
    """A first weight with a low-rank addition, made in each pass."""

    def __init__(self, outputs, width=8, rank=3):
        super().__init__(outputs, width, rank)
        self.stem = LowRank(40, width, rank)


class LowRank(nn.Linear):
    def __init__(self, inputs, outputs, rank):
        super().__init__(inputs, outputs)
        self.up, self.down = nn.Parameter(torch.randn(outputs, rank)), nn.Parameter(torch.randn(rank, inputs))

    def forward(self, x):
        return nn.functional.linear(x, self.weight + self.up @ self.down, self.bias)


class WeightNorm(Merged):
    """A first layer whose weights are a direction and a length."""

    def __init__(self, outputs, width=8):
        super().__init__(outputs, width)
        self.stem = weight_norm(self.stem)


class Complex(Single):
    def __init__(self):
        super().__init__()
        self.wave = nn.Parameter(torch.ones(40, 40, dtype=torch.cfloat))

    def forward(self, x):
        return super().forward((x.flatten(1).cfloat() @ self.wave).abs())
