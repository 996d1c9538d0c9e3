"""A user's own module: what is counted is what it is and does."""

from __future__ import annotations

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from scaling.accounting import count
from scaling.config import load_class
from scaling.errors import UserError
from scaling.models import repeatable
from scaling.models.custom import Custom
from scaling.models.parts import head_of
from tests.models import nets

SHAPE, OUTPUTS = (1, 40), 10
NETS = "tests.models.nets"
MODELS = [
    Custom(module=f"{NETS}.Conv", width=6, depth=2),
    Custom(module=f"{NETS}.Conv", width=6, kwargs={"kernel": 5}),
    Custom(module=f"{NETS}.Attention"),
    Custom(module=f"{NETS}.Recurrent", width=7),
    Custom(module=f"{NETS}.Tied"),
    Custom(module=f"{NETS}.Single"),
    Custom(module=f"{NETS}.drawing"),
    Custom(module=f"{NETS}.Frozen"),
    Custom(module=f"{NETS}.Frozen", kwargs={"tuned": True}),
    Custom(module=f"{NETS}.Blocks"),
    Custom(module=f"{NETS}.Experts"),
    Custom(module=f"{NETS}.Parametrized"),
    Custom(module=f"{NETS}.Tokens"),
    Custom(module=f"{NETS}.Merged"),
    Custom(module=f"{NETS}.MergedFirst"),
    Custom(module=f"{NETS}.WeightNorm"),
]


def build(model, seed=0):
    return model.build(SHAPE, OUTPUTS, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_counts_are_those_of_the_module(model):
    counts = count(model.layers(SHAPE, OUTPUTS)).in_batches(6)
    module = build(model)
    assert counts.N_total == sum(p.numel() for p in module.parameters())
    assert sum(p.numel() for p in module.parameters() if p.ndim >= 2) == counts.N
    x = torch.randn(6, *SHAPE)
    # torch's counter does not know the CPU's fused attention
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as forward:
        assert module(x).shape == (6, OUTPUTS)
    assert forward.get_total_flops() == 6 * counts.forward_flops
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as both:
        module(x).square().sum().backward()
    assert both.get_total_flops() == counts.C_counted(6)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_frozen_parameters_are_counted_as_such(model):
    columns = count(model.layers(SHAPE, OUTPUTS)).columns()
    assert columns.get("N_frozen", 0) == sum(p.numel() for p in build(model).parameters() if not p.requires_grad)


def test_a_gradient_that_the_forward_pass_takes_is_counted():
    model = Custom(module=f"{NETS}.Energy")
    counts = count(model.layers(SHAPE, OUTPUTS))
    assert counts.N == 40 * 8 + 8
    assert counts.forward_flops == 2 * 2 * counts.N  # the energy, and its gradient in the examples
    build(model)


@pytest.mark.parametrize("passes", [1, 100])
def test_a_part_left_out_at_random_is_counted(passes):
    counts = count(Custom(module=f"{NETS}.Dropped", kwargs={"passes": passes}).layers(SHAPE, OUTPUTS))
    assert (counts.N, counts.forward_flops) == (40 * 8 + 8 * 8 + 8 * OUTPUTS, 2 * (40 * 8 + 8 * 8 + 8 * OUTPUTS))


@pytest.mark.parametrize("keys", [{}, {"preferred": True}])
def test_experts_that_no_example_of_a_small_batch_chooses_are_counted(keys):
    counts = count(Custom(module=f"{NETS}.Routed", kwargs=keys).layers(SHAPE, OUTPUTS))
    assert counts.N == 40 * 8 + 8 * 3 + 3 * 8 * 8 + 8 * OUTPUTS
    assert counts.forward_flops == 2 * (40 * 8 + 8 * 3 + 8 * 8 + 8 * OUTPUTS)


def test_flops_for_weights_made_of_others_are_shared_by_a_batch():
    counts = count(Custom(module=f"{NETS}.Merged").layers(SHAPE, OUTPUTS))
    assert counts.pass_flops == 2 * 8 * 3 * 8
    assert counts.forward_flops == 2 * (40 * 8 + 8 * 8 + 8 * OUTPUTS)
    assert counts.in_batches(64).forward_flops == counts.forward_flops + 2 * 3


@pytest.mark.parametrize(
    ("name", "embed", "head"),
    [
        ("Blocks", 40 * 8, 8 * OUTPUTS),
        ("Experts", 40 * 8, 8 * OUTPUTS),
        ("Parametrized", 40 * 8, 8 * OUTPUTS),
        ("Tokens", 40 * 8 + 5 * 8, 8 * OUTPUTS),
        ("Merged", 40 * 8, 8 * OUTPUTS),
    ],
)
def test_the_layers_that_run_first_and_last_are_embedding_and_head(name, embed, head):
    model = Custom(module=f"{NETS}.{name}")
    counts = count(model.layers(SHAPE, OUTPUTS))
    assert (counts.N - counts.N_nonhead, counts.N_nonhead - counts.N_body) == (head, embed)
    assert head_of(build(model)).out_features == OUTPUTS


def test_grouped_convolutions_count_their_own_weights():
    counts = count(Custom(module=f"{NETS}.Conv", width=6, kwargs={"groups": 3}).layers(SHAPE, OUTPUTS))
    assert counts.forward_flops == 2 * (1 * 6 * 3 * 40 + 6 * 2 * 3 * 20 + 6 * 10)


def test_first_and_last_layer_are_embedding_and_head():
    counts = count(Custom(module=f"{NETS}.Conv", width=6, depth=2).layers(SHAPE, OUTPUTS))
    assert counts.N - counts.N_nonhead == 6 * OUTPUTS
    assert counts.N_body == 2 * 6 * 6 * 3
    named = Custom(module=f"{NETS}.Conv", width=6, depth=2, embed="body", head="stem")
    assert count(named.layers(SHAPE, OUTPUTS)).N_body == 6 * OUTPUTS
    module = build(named)
    assert head_of(module) is module.stem
    assert head_of(build(MODELS[2])).out_features == OUTPUTS
    single = count(Custom(module=f"{NETS}.Single").layers(SHAPE, OUTPUTS))
    assert single.N_body == single.N == 400


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.family)
def test_building_draws_from_the_generator_alone(model):
    before = torch.get_rng_state()
    first, second = build(model), build(model)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
    assert any(not torch.equal(a, b) for a, b in zip(first.parameters(), build(model, 1).parameters(), strict=True))
    assert {p.device.type for p in first.parameters()} == {"cpu"}


def test_what_it_is_told_is_what_makes_it():
    models = {Custom(module=f"{NETS}.Conv", width=w, kwargs={"kernel": k}) for w in (4, 8) for k in (3, 5)}
    assert len(models) == 4
    assert len({count(model.layers(SHAPE, OUTPUTS)).N for model in models}) == 4


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"module": "nowhere.Net"}, "cannot be imported"),
        ({"module": f"{NETS}:Conv"}, "write model.module=.*nets.Conv"),
        ({"module": f"{NETS}.Nothing"}, "cannot be imported"),
        ({"module": f"{NETS}.Conv"}, "missing a required argument: 'width'"),
        ({"module": f"{NETS}.Conv", "width": 4, "kwargs": {"colour": 1}}, "colour"),
        ({"module": f"{NETS}.Wrong"}, r"gives \(2, 9\)"),
        ({"module": f"{NETS}.Otherwise"}, r"gives \(2, 20\) for 2 examples in evaluation; wanted \(2, 10\)"),
        ({"module": f"{NETS}.Otherwise", "kwargs": {"how": "pair"}}, "gives tuple for 2 examples in evaluation"),
        ({"module": f"{NETS}.Broken"}, r"fails on a batch of shape \(2, 1, 40\) at .*nets\.py:\d+ "),
        ({"module": f"{NETS}.Idle"}, r"does not depend on \(spare.weight"),
        ({"module": f"{NETS}.Routed", "kwargs": {"never": True}}, r"does not depend on \(experts\.3\.weight"),
        ({"module": f"{NETS}.InPlace"}, r"InPlace, which changes its input in place, .* x = x\.clone\(\)"),
        ({"module": f"{NETS}.AllFrozen"}, "all frozen; wanted something to train"),
        ({"module": f"{NETS}.InList"}, r"weights that torch does not find.* \(layers\); wanted .*ModuleList"),
        ({"module": f"{NETS}.Bare"}, r"does not find.* \(scale\); wanted .*torch\.nn\.Parameter"),
        ({"module": f"{NETS}.Complex"}, r"complex parameters \(wave\).*wanted real ones; make them of shape"),
        ({"module": f"{NETS}.Detached"}, "whose outputs have no gradient; wanted outputs that depend on trained"),
        ({"module": f"{NETS}.Leaving"}, r"fails on a batch of shape \(2, 1, 40\) at .*nets\.py:\d+ \(SystemExit"),
        ({"module": f"{NETS}.Single", "head": "maps"}, "wanted one of map"),
        ({"module": "torch.nn.Identity"}, "gives"),
        ({"module": "math.sqrt"}, "sqrt"),
    ],
)
def test_a_mistake_is_one_sentence(keys, said):
    with pytest.raises(UserError, match=said):
        Custom(**keys).layers(SHAPE, OUTPUTS)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("def f(:", r"cannot be imported \(SyntaxError: invalid syntax \(\w+\.py, line 1\)\)"),
        ("\n1 / 0", r"cannot be imported \(ZeroDivisionError: division by zero at .*\.py:2\)"),
        ("import sys\n\nsys.exit(0)", r"cannot be imported \(SystemExit: 0 at .*\.py:3\)"),
        ("import argparse as a\na.ArgumentParser().parse_args(['x'])", r"\(SystemExit: 2 at .*cannot_\d+\.py:2\)"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_the_place(code, said, tmp_path, monkeypatch):
    name = f"cannot_{len(code)}"
    (tmp_path / f"{name}.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said):
        Custom(module=f"{name}.Net").layers(SHAPE, OUTPUTS)
    with pytest.raises(UserError, match=said):
        load_class(f"{name}.Net")


@pytest.mark.parametrize(
    ("name", "different"),
    [
        ("Unseeded", r"other (outputs in training|weights \(map\.bias\))"),
        ("Counting", "other outputs in training"),
        ("Cached", "other (draws|outputs)"),
    ],
)
def test_a_module_that_is_another_when_it_is_made_again_is_refused_each_time(name, different):
    nets.projection.cache_clear()
    for _ in range(2):
        with pytest.raises(UserError, match=f"{name}, made twice from one seed, with {different}.*; wanted the same"):
            build(Custom(module=f"{NETS}.{name}"))


@pytest.mark.parametrize("each_call", [False, True])
@pytest.mark.parametrize(
    ("which", "call"), [("torch", "torch.manual_seed"), ("numpy", "numpy.random.seed"), ("python", "random.seed")]
)
def test_a_module_that_seeds_a_global_generator_itself_is_refused(which, call, each_call):
    with pytest.raises(UserError, match=f"Seeding, which calls {call}, so that all runs draw the same"):
        build(Custom(module=f"{NETS}.Seeding", kwargs={"which": which, "each_call": each_call}))


def test_a_module_that_seeds_torch_for_itself_alone_is_not():
    build(Custom(module=f"{NETS}.Seeding", kwargs={"forked": True}))


def test_a_class_that_hands_its_arguments_on_is_given_those_of_its_base():
    assert build(Custom(module=f"{NETS}.Passing", width=5)).head.weight.shape == (OUTPUTS, 5)


@pytest.mark.parametrize("name", ["KeptCached", "OnMeta"])
def test_tensors_without_values_are_told(name):
    """A cache has kept them from counting, or they were made so."""
    nets.projection.cache_clear()
    model = Custom(module=f"{NETS}.{name}")
    model.layers(SHAPE, OUTPUTS)
    with pytest.raises(
        UserError, match=r"tensors without values, .*; wanted values: make none with device='meta', and"
    ):
        build(model)
    nets.projection.cache_clear()


def test_little_is_kept_of_a_large_module_to_compare_it():
    model = Custom(module=f"{NETS}.Conv", width=64, depth=2)
    kept = dict(repeatable.facts(lambda: model.make(SHAPE, OUTPUTS), SHAPE, 0))
    weights = [fact.numel() for name, fact in kept.items() if name.startswith("weights")]
    assert weights
    assert max(weights) <= 2 * repeatable.SAMPLE
