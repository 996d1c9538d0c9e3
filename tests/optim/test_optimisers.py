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


OPTIMISERS = [
    Lion(lr=LR, weight_decay=0.3),
    SGD(lr=LR, weight_decay=0.3),
    SGD(lr=LR, weight_decay=0.3, momentum=0.9),
    AdamW(lr=LR, weight_decay=0.3),
]
each = pytest.mark.parametrize("optim", OPTIMISERS, ids=repr)


@each
def test_frozen_parameters_stay_and_the_others_go_as_without_them(optim):
    net, free = module(), module()
    net[0].requires_grad_(False)
    net[1].bias.requires_grad = False
    frozen = {p for p in net.parameters() if not p.requires_grad}
    before = [p.detach().clone() for p in net.parameters()]
    built = optim.build(net)
    assert not frozen & {p for group in built.param_groups for p in group["params"]}
    for _ in range(3):
        for parameter in net.parameters():
            parameter.grad = None if parameter in frozen else torch.ones_like(parameter)
        built.step()
    other = optim.build(free)
    for _ in range(3):
        for parameter in free.parameters():
            parameter.grad = torch.ones_like(parameter)
        other.step()
    for parameter, start, moved in zip(net.parameters(), before, free.parameters(), strict=True):
        assert torch.equal(parameter, start if parameter in frozen else moved)


def absent(net, optimiser, missing, n=6):
    """Take `n` steps, in some of which the parameters of these indices have no gradient."""
    draw = torch.Generator().manual_seed(3)
    for step in range(n):
        for index, parameter in enumerate(net.parameters()):
            gradient = torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype)
            parameter.grad = None if index in missing(step) else gradient
        optimiser.step()


@each
@pytest.mark.parametrize("when", [0, 1, 3], ids="first missing in step {}".format)
def test_a_parameter_without_gradient_is_skipped_in_that_step(optim, when):
    """Its own steps are as if that step had not been."""
    net, alone = module(), module()
    absent(net, optim.build(net), lambda step: {2} if step == when else ())
    absent(alone, optim.build(alone), lambda step: range(6) if step == when else ())
    assert torch.equal(net[1].weight, alone[1].weight)
    assert not torch.equal(net[0].weight, alone[0].weight)
    whole = module()
    absent(whole, optim.build(whole), lambda step: ())
    assert torch.equal(net[0].weight, whole[0].weight)


@pytest.mark.parametrize("stopped", [1, 2, 4])
def test_steps_that_were_skipped_survive_a_checkpoint(stopped):
    straight, halted = module(), module()
    optim = AdamW(lr=LR, weight_decay=0.1)
    missing = lambda step: {2} if step == 1 else ()  # noqa: E731
    absent(straight, optim.build(straight), missing)
    first = optim.build(halted)
    absent(halted, first, missing, stopped)
    resumed = optim.build(halted)
    resumed.load_state_dict(first.state_dict())
    draw = torch.Generator().manual_seed(3)
    for step in range(6):
        for index, parameter in enumerate(halted.parameters()):
            gradient = torch.randn(parameter.shape, generator=draw, dtype=parameter.dtype)
            parameter.grad = None if index in missing(step) else gradient
        if step >= stopped:
            resumed.step()
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), halted.parameters(), strict=True))


@each
def test_a_step_without_any_gradient_changes_nothing(optim):
    net = module()
    before = [p.detach().clone() for p in net.parameters()]
    built = optim.build(net)
    for _ in range(2):
        built.step()
    assert all(torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))
