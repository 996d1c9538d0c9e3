"""What a freshly built module computes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from scaling.errors import UserError
from scaling.models.bottleneck import Bottleneck
from scaling.models.linear import Linear
from scaling.models.mlp import MLP

FAMILIES = [MLP(width=8, depth=2), Bottleneck(width=8, depth=2), Linear(width=5)]


def build(model, seed=0):
    return model.build((6,), 3, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model", FAMILIES, ids=repr)
def test_building_draws_from_the_generator_alone(model):
    before = torch.get_rng_state()
    first, second = build(model), build(model)
    assert torch.equal(before, torch.get_rng_state())
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("model", FAMILIES[:2], ids=repr)
def test_another_seed_gives_other_weights(model):
    assert not torch.equal(build(model, 0).embed.weight, build(model, 1).embed.weight)


@pytest.mark.parametrize("model", FAMILIES, ids=repr)
def test_a_run_starts_at_the_uniform_prediction(model):
    assert torch.equal(build(model)(torch.randn(4, 6)), torch.zeros(4, 3))


@pytest.mark.parametrize("family", [MLP, Bottleneck])
def test_a_head_may_start_as_every_other_layer(family):
    """The body is the same; the head is uniform within the bound of its inputs."""
    zero, uniform = (build(family(width=8, depth=2, head_start=start)) for start in ("zero", "uniform"))
    for (name, a), b in zip(zero.named_parameters(), uniform.parameters(), strict=True):
        assert torch.equal(a, b) == (not name.startswith("head.")), name
    head = torch.cat([uniform.head.weight.flatten(), uniform.head.bias])
    assert 0.8 * 8**-0.5 < head.abs().max() <= 8**-0.5


def test_dense_layers_are_uniform_within_their_bound():
    weight = MLP(width=400, depth=1).build((100,), 2, torch.Generator().manual_seed(3)).embed.weight
    assert weight.abs().max() <= 0.1
    assert weight.std().item() == pytest.approx(0.1 / 3**0.5, rel=0.02)


def with_a_head(module):
    torch.manual_seed(5)
    torch.nn.init.normal_(module.head.weight)
    return module


def test_a_standard_block_is_relu_of_w_of_layer_norm():
    module = with_a_head(build(MLP(width=8, depth=1)))
    x = torch.randn(4, 6)
    linear = module.blocks[0].branch[1]
    z = module.embed(x)
    expected = module.head(torch.relu(linear(functional.layer_norm(z, (8,)))))
    torch.testing.assert_close(module(x), expected)


def test_a_bottleneck_block_adds_contract_of_gelu_of_expand_of_layer_norm():
    module = with_a_head(build(Bottleneck(width=8, depth=1)))
    x = torch.randn(4, 6)
    _, expand, _, contract = module.blocks[0].branch
    assert expand.weight.shape == (32, 8)
    z = module.embed(x)
    expected = module.head(z + contract(functional.gelu(expand(functional.layer_norm(z, (8,))))))
    torch.testing.assert_close(module(x), expected)


def test_a_norm_behind_normalises_the_sum():
    module = build(Bottleneck(width=8, depth=1, place="post"))
    z = module.blocks(module.embed(torch.randn(4, 6)))
    torch.testing.assert_close(z.mean(1), torch.zeros(4), atol=1e-6, rtol=0)


def test_linear_reads_the_leading_features_alone():
    module = with_a_head(build(Linear(width=2)))
    x = torch.randn(4, 6)
    torch.testing.assert_close(module(x), x[:, :2] @ module.head.weight.T)


def test_linear_refuses_more_features_than_there_are():
    with pytest.raises(UserError, match=r"model\.width=9"):
        Linear(width=9).layers((6,), 1)
