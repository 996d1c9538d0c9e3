"""The update rules, against the published ones written out."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scaling.errors import UserError
from scaling.internals.torch import skip_dynamo_import
from scaling.optim.adamw import AdamW
from scaling.optim.groups import parameter_groups
from scaling.optim.lion import Lion
from scaling.optim.sgd import SGD


def module():
    torch.manual_seed(1)
    return nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 2)).double()


def steps(net, optimiser, n=4):
    """Take `n` steps on fixed random gradients and return them."""
    draw = torch.Generator().manual_seed(2)
    gradients = []
    for _ in range(n):
        gradients.append([torch.randn(p.shape, generator=draw, dtype=p.dtype) for p in net.parameters()])
        for parameter, gradient in zip(net.parameters(), gradients[-1], strict=True):
            parameter.grad = gradient.clone()
        optimiser.step()
    return gradients


def expected(rule, decay):
    """Apply `rule(w, g, state) -> step` to each parameter on its own, with decoupled decay of the matrices."""
    net = module()
    final = []
    for i, parameter in enumerate(net.parameters()):
        w, state = parameter.detach().clone(), {}
        for gradient in RECORDED:
            change = rule(w, gradient[i], state)
            w = (w * (1 - decay * LR) if w.ndim == 2 else w) - LR * change
        final.append(w)
    return final


LR = 0.01
skip_dynamo_import()  # as training does: the first optimiser would import it, which takes two seconds of CPU
RECORDED = steps(module(), torch.optim.SGD(module().parameters(), lr=0.0))


def lion(w, g, state):
    m = state.get("m", torch.zeros_like(w))
    state["m"] = 0.99 * m + 0.01 * g
    return torch.sign(0.9 * m + 0.1 * g)


def momentum(w, g, state):
    state["m"] = g if "m" not in state else 0.9 * state["m"] + g
    return state["m"]


def nesterov(w, g, state):
    return g + 0.9 * momentum(w, g, state)


def adam(w, g, state):
    t = state["t"] = state.get("t", 0) + 1
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g * g
    return (state["m"] / (1 - 0.9**t)) / ((state["v"] / (1 - 0.999**t)).sqrt() + 1e-8)


@pytest.mark.parametrize("decay", [0.0, 0.3])
@pytest.mark.parametrize(
    ("optim", "rule", "keys"),
    [
        (Lion, lion, {}),
        (SGD, momentum, {"momentum": 0.9}),
        (SGD, nesterov, {"momentum": 0.9, "nesterov": True}),
        (SGD, lambda w, g, state: g, {}),
        (AdamW, adam, {}),
    ],
    ids=["lion", "momentum", "nesterov", "sgd", "adamw"],
)
def test_updates_are_the_published_ones(optim, rule, keys, decay):
    net = module()
    steps(net, optim(lr=LR, weight_decay=decay, **keys).build(net))
    for parameter, wanted in zip(net.parameters(), expected(rule, decay), strict=True):
        torch.testing.assert_close(parameter.detach(), wanted)


@pytest.mark.parametrize("optim", [Lion(lr=0.1), SGD(lr=0.1, momentum=0.9), AdamW(lr=0.1)], ids=repr)
def test_state_survives_a_checkpoint(optim):
    straight, stopped = module(), module()
    one, two = optim.build(straight), optim.build(stopped)
    steps(straight, one, 3)
    steps(stopped, two, 3)
    resumed = optim.build(stopped)
    resumed.load_state_dict(two.state_dict())
    steps(straight, one, 2)
    steps(stopped, resumed, 2)
    for a, b in zip(straight.parameters(), stopped.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adamw_is_torch_s_own_bit_for_bit(decay):
    ours, theirs = module(), module()
    steps(ours, AdamW(lr=LR, weight_decay=decay).build(ours), 5)
    groups = [{k: v for k, v in g.items() if k != "share"} for g in parameter_groups(theirs, decay)]
    steps(theirs, torch.optim.AdamW(groups, lr=LR, fused=True), 5)
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_body_can_take_less_of_the_rate_than_the_head(decay):
    net = module()
    groups = parameter_groups(net, decay, body_share=0.1)
    share = {parameter: group["share"] for group in groups for parameter in group["params"]}
    assert [share[p] for p in net.parameters()] == [0.1, 0.1, 0.1, 0.1, 1.0, 1.0]
    decayed = {p for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == ({net[0].weight, net[2].weight} if decay else set())
    assert [g["share"] for g in SGD(lr=0.1, body_share=0.1).build(net).param_groups] == [0.1, 1.0]


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(UserError, match="momentum"):
        SGD(lr=0.1, nesterov=True)
