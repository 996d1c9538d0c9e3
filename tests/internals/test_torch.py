"""torch's private names do what is relied on, and where torch has none of them the same comes out."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from scaling.internals import torch as internals
from scaling.internals.torch import ForwardTracker, skip_dynamo_import_in_counter
from scaling.optim import fused
from scaling.optim.adamw import AdamW
from scaling.optim.fused import FusedAdamW
from scaling.optim.lion import Lion
from scaling.optim.sgd import SGD
from tests.forked import forked

STEPS = """
import sys
import torch
from scaling.internals.torch import skip_dynamo_import

if sys.argv[1] == "skipped":
    skip_dynamo_import()
torch.manual_seed(0)
module = torch.nn.Linear(3, 3)
adam = torch.optim.AdamW(module.parameters(), lr=1e-2, fused=True)
for optimizer in (adam, torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)):
    for _ in range(3):
        optimizer.zero_grad()
        module(torch.randn(5, 3)).square().mean().backward()
        optimizer.step()
    optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules, [value.hex() for value in module.weight.flatten().tolist()])
"""


def count() -> tuple[bool, int]:
    skip_dynamo_import_in_counter()
    module = torch.nn.Sequential(torch.nn.Conv1d(2, 3, 5), torch.nn.Flatten(), torch.nn.Linear(12, 7))
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(4, 2, 8)).sum().backward()
    return "torch._dynamo" in sys.modules, counter.get_total_flops()


def test_modules_that_run_forward_are_told_as_by_torch():
    module = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.ReLU(), nn.Linear(4, 5)))
    counts = []
    for tracker in (None, ForwardTracker()):
        counter = FlopCounterMode(display=False)
        counter.mod_tracker = tracker or counter.mod_tracker
        with counter:
            module(torch.zeros(2, 3))
        counts.append(counter.get_flop_counts())
    assert counts[0] == counts[1]
    assert len(counts[0]) == 5  # all of it, and four modules with products in them


def printed(script: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


@pytest.mark.slow
def test_steps_without_dynamo_are_torchs_own():
    loaded, _, weights = printed(STEPS, "skipped").partition(" ")
    assert loaded == "False"
    assert printed(STEPS, "torch").partition(" ")[2] == weights


@pytest.mark.slow
def test_counting_without_dynamo_is_torchs_own(tmp_path):
    # Forward 2 x (30 x 4 + 84) x 4; backward the same for the weights, and for the inputs of all but the first layer.
    forward, inputs = 2 * (2 * 3 * 5 * 4 + 12 * 7) * 4, 2 * 12 * 7 * 4
    assert forked(tmp_path, count).result() == (False, 2 * forward + inputs)


CALLS = {
    "add_": lambda f, a, b: f(a, b, alpha=-0.3),
    "mul_": lambda f, a, b: f(a, 0.7),
    "sign_": lambda f, a, b: f(a),
    "lerp": lambda f, a, b: f(a, b, 0.1),
    "lerp_": lambda f, a, b: f(a, b, 0.1),
}


@pytest.mark.parametrize("name", CALLS)
def test_lists_of_tensors_are_done_as_one_by_one(name, monkeypatch):
    def results(function):
        torch.manual_seed(0)
        a, b = ([torch.randn(shape) for shape in ((3, 4), (5,), ())] for _ in range(2))
        found = CALLS[name](function, a, b)
        return [*a, *(found or [])]

    at_once = internals.for_each(name)
    assert at_once is getattr(torch, f"_foreach_{name}")
    monkeypatch.delattr(torch, f"_foreach_{name}")
    for ours, theirs in zip(results(internals.for_each(name)), results(at_once), strict=False):
        assert torch.equal(ours, theirs)


def stepped(optimizer_of, n=4):
    torch.manual_seed(1)
    module = nn.Sequential(nn.Linear(5, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    groups = [{"params": list(module.parameters()), "weight_decay": 0.1}]
    optimizer = optimizer_of(groups)
    for _ in range(n):
        for parameter in module.parameters():
            parameter.grad = torch.randn(parameter.shape)
        optimizer.step()
    return list(module.parameters())


@pytest.mark.parametrize("kernel", [True, False])
def test_adamw_steps_as_torch_s_own_with_the_kernel_and_without(kernel, monkeypatch):
    assert internals.fused_adamw is not None
    if not kernel:
        monkeypatch.setattr(fused, "fused_adamw", None)
    ours = stepped(lambda groups: FusedAdamW(groups, lr=0.01, betas=(0.9, 0.999), eps=1e-8))
    theirs = stepped(lambda groups: torch.optim.AdamW(groups, lr=0.01, fused=True))
    for a, b in zip(ours, theirs, strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("sampler", [True, False])
def test_beta_is_drawn_from_the_generator_alone(sampler, monkeypatch):
    assert internals.sample_dirichlet is not None
    if not sampler:
        monkeypatch.setattr(internals, "sample_dirichlet", None)
    before, generator = torch.get_rng_state(), torch.Generator().manual_seed(3)
    drawn = [internals.draw_beta(0.8, generator) for _ in range(2000)]
    assert torch.equal(torch.get_rng_state(), before)
    assert {value.shape for value in drawn} == {torch.Size([])}
    from scipy.stats import kstest  # dear to import

    assert kstest([value.item() for value in drawn], "beta", args=(0.8, 0.8)).pvalue > 1e-3
    generator.manual_seed(3)
    assert internals.draw_beta(0.8, generator) == drawn[0]


@pytest.mark.parametrize("optim", [AdamW(lr=0.1), Lion(lr=0.1), SGD(lr=0.1)], ids=lambda optim: optim.name)
def test_no_step_is_wrapped_but_to_turn_gradients_off(optim):
    internals.skip_dynamo_import()
    step = type(optim.build(torch.nn.Linear(2, 2))).step
    assert not hasattr(step.__wrapped__, "__wrapped__")


def test_hooks_on_accumulated_gradients_are_seen():
    parameter = torch.nn.Parameter(torch.ones(1))
    parameter.register_hook(lambda gradient: gradient)
    assert not internals.has_accumulation_hooks(parameter)
    hook = parameter.register_post_accumulate_grad_hook(lambda _: None)
    assert internals.has_accumulation_hooks(parameter)
    hook.remove()
    assert not internals.has_accumulation_hooks(parameter)


SHAPES = """
from functools import partial

import torch
from scaling.internals.torch import compiled

made = []

def count(graph, examples):
    made.append(examples[-1].shape)
    return graph.forward

torch.compile = partial(torch.compile, backend=count)
step = compiled(lambda x: (x * 2).sum())
for n in range(1, 21):
    assert step(torch.ones(n)) == 2 * n
print(len(made))
"""


@pytest.mark.slow
def test_every_shape_is_compiled_and_none_is_taken_eagerly():
    """By itself torch makes eight and then goes on eagerly: other bits under the same name."""
    done = subprocess.run([sys.executable, "-c", SHAPES], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "20"
    without = SHAPES.replace("step = compiled(", "step = partial(torch.compile, dynamic=False)(")
    assert without != SHAPES
    eager = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, check=True)
    assert int(eager.stdout) < 20
