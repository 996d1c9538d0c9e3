"""The counts of a family are those of the module it builds."""

from __future__ import annotations

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from scaling.accounting import count, paper_C
from scaling.models.bottleneck import Bottleneck
from scaling.models.linear import Linear
from scaling.models.mlp import MLP

SHAPE, OUTPUTS = (3, 5, 4), 7
MODELS = [
    MLP(width=16, depth=3),
    MLP(width=9, depth=1, norm="none", bias=False),
    MLP(width=8, depth=0),
    MLP(width=8, depth=2, norm="batch", place="post", skip=True, activation="gelu"),
    Bottleneck(width=12, depth=2),
    Bottleneck(width=8, depth=3, expansion=2, norm="none", skip=False, activation="relu", dropout=0.5),
    Bottleneck(width=8, depth=1, bias=False, place="post"),
    Linear(width=11),
]


def build(model, shape=SHAPE, outputs=OUTPUTS, seed=0):
    return model.build(shape, outputs, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("model", MODELS, ids=repr)
def test_counts_are_those_of_the_module(model):
    counts = count(model.layers(SHAPE, OUTPUTS))
    module = build(model)
    assert counts.N_total == sum(p.numel() for p in module.parameters())
    assert sum(p.numel() for p in module.parameters() if p.ndim == 2) == counts.N
    x = torch.randn(6, *SHAPE)
    with FlopCounterMode(display=False) as forward:
        out = module(x)
    assert out.shape == (6, OUTPUTS)
    assert forward.get_total_flops() == 6 * counts.forward_flops
    with FlopCounterMode(display=False) as both:
        module(x).square().sum().backward()
    assert both.get_total_flops() == counts.C_counted(6)


def test_the_paper_s_parameter_counts():
    small = count(Bottleneck(width=256, depth=6).layers((3, 64, 64), 11_230))
    large = count(Bottleneck(width=1024, depth=12).layers((3, 64, 64), 11_230))
    assert (small.N_total, large.N_total) == (9_188_574, 124_843_998)


def test_the_paper_s_compute():
    counts = count(Bottleneck(width=512, depth=6).layers((3, 64, 64), 10))
    assert paper_C(counts, 9_469 * 160, norm_elements=6 * 512) == 85_879_351_541_760


def test_the_body_leaves_out_embedding_and_head():
    counts = count(MLP(width=16, depth=3).layers(SHAPE, OUTPUTS))
    assert counts.N_body == 3 * 16 * 16
    assert counts.N_nonhead == counts.N_body + 60 * 16
