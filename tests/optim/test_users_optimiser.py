"""An optimiser of the user's has all its state in its state_dict, or is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch

from scaling.errors import UserError
from scaling.optim.build_optimiser import build_optimiser
from scaling.optim.sgd import SGD
from scaling.optim.users_optimiser import check_users_optimiser, keep_shares
from scaling.train.step.rates import Rates


class Counting(torch.optim.SGD):
    """Its steps grow, by a count of its own."""

    steps = 0

    def step(self, closure=None):
        self.steps += 1
        for group in self.param_groups:
            group["lr"] = 0.1 * self.steps
        return super().step(closure)


class Lookahead(torch.optim.Optimizer):
    """Every fifth step goes back half of the way, to weights that only `saved` has in its state_dict."""

    def __init__(self, params, *, lr, saved=False):
        self.inner, self.saved, self.taken = torch.optim.AdamW(params, lr=lr), saved, 0
        self.param_groups, self.state, self.defaults = self.inner.param_groups, self.inner.state, self.inner.defaults
        self.slow = [p.detach().clone() for group in self.param_groups for p in group["params"]]

    @torch.no_grad()
    def step(self, closure=None):
        self.inner.step()
        self.taken += 1
        if self.taken % 5 == 0:
            for slow, fast in zip(self.slow, (p for g in self.param_groups for p in g["params"]), strict=True):
                fast.copy_(slow.lerp_(fast, 0.5))

    def state_dict(self):
        own = {"slow": self.slow, "taken": self.taken} if self.saved else {}
        return {**self.inner.state_dict(), **own}

    def load_state_dict(self, state_dict):
        self.inner.load_state_dict({key: state_dict[key] for key in ("state", "param_groups")})
        self.slow, self.taken = state_dict.get("slow", self.slow), state_dict.get("taken", 0)


class Stale(Lookahead):
    """All is saved, but after loading its groups are not those of the optimiser inside."""

    def __init__(self, params, *, lr):
        super().__init__(params, lr=lr, saved=True)


class Fixed(torch.optim.SGD):
    """It keeps the rate that it is made with."""

    def __init__(self, params, *, lr):
        super().__init__(params, lr=lr)
        self.rate = lr

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.sub_(parameter.grad, alpha=self.rate)


class Sam(torch.optim.SGD):
    """It computes the loss twice a step."""

    @torch.no_grad()
    def step(self, closure=None):
        assert closure is not None, "a closure is required"
        closure()
        super().step()


class Matrices(torch.optim.SGD):
    """It cannot train the network that it is tried on, with a closure or without one."""

    def step(self, closure=None):
        raise ValueError("wanted matrices alone")


@dataclass(frozen=True)
class Own:
    name: ClassVar[str] = "own"
    kind: str
    lr: float = 0.1

    def build(self, module):
        own = {"counting": Counting, "lookahead": Lookahead, "stale": Stale, "fixed": Fixed, "sam": Sam}
        own["matrices"] = Matrices
        torchs = {"adam": torch.optim.Adam, "asgd": torch.optim.ASGD, "lbfgs": torch.optim.LBFGS}
        return (own | torchs)[self.kind](module.parameters(), lr=self.lr)


@dataclass(frozen=True)
class OneRate:
    """Its learning rate is no key of the config."""

    name: ClassVar[str] = "one_rate"
    lr: ClassVar[float] = 0.1
    kind: str

    build = Own.build


@dataclass(frozen=True)
class Wrong:
    """An optimiser that does not train what and as the run says."""

    name: ClassVar[str] = "wrong"
    kind: str
    lr: float = 0.1

    def build(self, module):
        first, *others = module.parameters()
        if self.kind == "frozen":
            first.requires_grad_(False)
        given = {"part": [first], "frozen": others, "copies": [torch.nn.Parameter(first.clone())]}
        rate = {} if self.kind == "deaf" else {"lr": self.lr}
        return None if self.kind == "nothing" else torch.optim.Adam(given.get(self.kind, [first, *others]), **rate)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("part", r"lacks trainable parameters of the model \(bias\); wanted all of module\.parameters"),
        ("copies", r"lacks trainable parameters of the model \(weight, bias\)"),
        ("nothing", r"builds a NoneType; wanted a torch\.optim\.Optimizer"),
        ("deaf", r"has the same learning rate whatever optim\.lr is; .* give it self\.lr"),
    ],
)
def test_an_optimiser_that_would_not_train_what_the_run_says_is_refused(kind, said):
    with pytest.raises(UserError, match=rf"test_users_optimiser\.Wrong, .*{said}"):
        build_optimiser(Wrong(kind), torch.nn.Linear(3, 2))
    build_optimiser(Wrong("frozen"), torch.nn.Linear(3, 2))


def test_an_optimiser_that_keeps_the_rate_of_its_first_step_is_refused():
    with pytest.raises(UserError, match="same steps whatever the `lr` of its groups is; wanted"):
        check_users_optimiser(Own("fixed"))


@pytest.mark.parametrize("kind", ["lbfgs", "sam"])
def test_an_optimiser_that_wants_a_closure_is_refused(kind):
    with pytest.raises(UserError, match=r"Own, whose optimiser computes the loss several times a step"):
        check_users_optimiser(Own(kind))


@pytest.mark.parametrize("kind", ["lookahead", "stale"])
def test_state_that_matters_only_every_few_steps_or_under_a_schedule_is_missed_too(kind):
    with pytest.raises(UserError, match="has state that its state_dict lacks, or does not load"):
        check_users_optimiser(Own(kind))


@pytest.mark.parametrize("kind", [Own, OneRate])
def test_state_that_a_resumed_run_would_lack_is_refused_each_time(kind):
    for _ in range(2):
        with pytest.raises(UserError, match=rf"test_users_optimiser\.{kind.__name__}, whose optimiser has state"):
            check_users_optimiser(kind("counting"))


@pytest.mark.parametrize(
    "setting", [Own("adam"), OneRate("adam"), Own("asgd"), Own("matrices"), SGD(lr=0.1, momentum=0.9)]
)
def test_torch_s_and_ours_are_not(setting):
    check_users_optimiser(setting)


def test_a_schedule_multiplies_the_rate_that_each_group_has():
    first, second = torch.nn.Linear(2, 3), torch.nn.Linear(3, 1)
    optimizer = torch.optim.Adam([{"params": first.parameters(), "lr": 0.4}, {"params": second.parameters()}], lr=0.1)
    keep_shares(optimizer, 0.1)
    Rates(optimizer, rounded=False).set(0.1 * 0.5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.2, 0.05])
