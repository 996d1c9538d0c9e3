"""The gradients that are written out are those of autograd."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from scaling.augment.mixed import Mixed
from scaling.models.bottleneck import Bottleneck
from scaling.models.linear import Linear
from scaling.models.mlp import MLP
from scaling.train.stacked.layers import MemberValues, stack_layers
from scaling.train.stacked.losses import stacked_objective, stacked_slopes
from scaling.train.stacked.rows import Rows, layout_of
from scaling.train.stacked.steps.gradients import gradients_by_autograd, gradients_by_hand
from scaling.train.streams import stream

SHAPE, CLASSES, MEMBERS, BATCH = (1, 2, 4), 5, 3, 7
MODELS = {
    "mlp": MLP(width=6, depth=2),
    "gelu, skip, behind": MLP(width=6, depth=2, activation="gelu", skip=True, place="post"),
    "no norm, no bias": MLP(width=6, depth=1, norm="none", bias=False),
    "bottleneck": Bottleneck(width=6, depth=2, expansion=2),
    "mup": Bottleneck(width=8, depth=2, param="mup", base_width=4, base_depth=1),
    "dropout": Bottleneck(width=6, depth=2, dropout=0.3),
    "linear": Linear(width=5),
}


def members(model, outputs: int = CLASSES) -> list[nn.Module]:
    built = [model.build(SHAPE, outputs, stream(seed, "init")) for seed in range(MEMBERS)]
    for number, module in enumerate(built):  # away from the start, where the head and the shifts are zero
        for parameter in module.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=stream(number, "away"))
    return built


def labels(kind: str):
    """Labels (K, n) of a batch, and of the loss that they are for."""
    y, other = (torch.randint(CLASSES, (MEMBERS, BATCH), generator=stream(seed, "y")) for seed in (0, 1))
    if kind == "mixed":
        return "cross_entropy", Mixed(y, other, torch.tensor([0.2, 1.0, 0.7])), [0.0, 0.1, 0.3]
    if kind == "regression":
        return "squared_error", y.float(), [0.0] * MEMBERS
    return "cross_entropy", y, [0.1 * (kind == "smoothed")] * MEMBERS


@pytest.mark.parametrize("kind", ["plain", "smoothed", "mixed", "regression"])
@pytest.mark.parametrize("case", MODELS)
def test_gradients_by_hand_are_those_of_autograd(case, kind):
    modules, (metric, y, smoothing) = members(MODELS[case], 1 if kind == "regression" else CLASSES), labels(kind)
    rows = Rows(layout_of(modules[0], body_share=1.0), modules)
    x = torch.randn((MEMBERS, BATCH, *SHAPE), generator=stream(0, "x"))
    slopes, measure = (make(metric, smoothing, x.device) for make in (stacked_slopes, stacked_objective))
    drawing = [[stream(seed, "dropout") for seed in range(MEMBERS)] for _ in range(2)]
    by_hand = gradients_by_hand(modules[0], rows, drawing[0], slopes)
    assert by_hand is not None
    forward = stack_layers(modules[0], MemberValues(rows.values, drawing[1]))
    by_autograd = gradients_by_autograd(forward, rows, measure, bf16=False)
    (losses, found), (own, wanted) = by_hand(x, y), by_autograd(x, y)
    assert torch.allclose(losses, own)
    for column, mine, theirs in zip(rows.layout.columns, found, wanted, strict=True):
        assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-6), column.name


def test_what_is_not_written_out_is_left_to_autograd():
    modules = members(MLP(width=6, depth=1, norm="batch"))
    rows = Rows(layout_of(modules[0], body_share=1.0), modules)
    slopes = stacked_slopes("cross_entropy", [0.0] * MEMBERS, torch.device("cpu"))
    assert gradients_by_hand(modules[0], rows, [], slopes) is None
