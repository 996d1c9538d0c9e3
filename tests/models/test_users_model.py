"""A family of the user's is the same when it is built again, and is what its layers count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from scaling.accounting import dense
from scaling.errors import UserError
from scaling.models.build_model import build_model
from scaling.models.custom import Custom
from scaling.models.users_model import check_logits, mixes_examples

SHAPE, OUTPUTS = (6,), 3


class InPlace(nn.Linear):
    def forward(self, x):
        return super().forward(x.mul_(2))


class Counting(nn.Linear):
    made = 0

    def forward(self, x):
        type(self).made += 1
        return super().forward(x) * type(self).made


class Other(nn.Linear):
    """In evaluation it gives one output."""

    def forward(self, x):
        return super().forward(x)[:, : self.out_features if self.training else 1]


@dataclass(frozen=True)
class Family:
    """A linear map, right or wrong in one way."""

    family: ClassVar[str] = "one"

    width: int = 4
    wrong: str = ""
    noise: float = 0.0

    def layers(self, shape, outputs):
        bias = self.wrong != "its count"
        return [dense(shape[0], self.width, bias=bias, first=True), dense(self.width, outputs, role="head")]

    def build(self, shape, outputs, generator):
        if self.wrong == "its evaluation":
            return Other(shape[0], outputs)
        kinds = {"its input": InPlace, "its class": Counting}
        first = kinds.get(self.wrong, nn.Linear)(shape[0], self.width)
        nn.init.normal_(first.weight, generator=generator)
        if self.noise:
            with torch.no_grad():
                first.bias += torch.from_numpy(np.random.default_rng().random(self.width))
        return nn.Sequential(first, nn.Linear(self.width, outputs + (self.wrong == "its outputs")))


def built(**keys):
    return build_model(Family(**keys), SHAPE, OUTPUTS, torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"noise": 1.0}, r"Family, made twice from one seed, with other (outputs|weights)"),
        ({"wrong": "its class"}, "made twice from one seed, with other outputs"),
        ({"wrong": "its input"}, "Family, which changes its input in place"),
        ({"wrong": "its outputs"}, r"Family, which gives \(2, 4\) for 2 examples"),
        ({"wrong": "its evaluation"}, r"Family, which gives \(2, 1\) for 2 examples in evaluation"),
        ({"wrong": "its count"}, r"Family, whose layers count 39 parameters while its module has 43; wanted the same"),
    ],
)
def test_a_wrong_family_is_refused_each_time(keys, said):
    built()  # what was found of other keys does not count
    for _ in range(2):
        with pytest.raises(UserError, match=said):
            built(**keys)


def test_a_family_that_draws_from_global_streams_is_what_the_run_s_streams_make_it():
    torch.manual_seed(5)
    expected = nn.Sequential(nn.Linear(6, 4), nn.Linear(4, 3))[1].weight
    torch.manual_seed(5)
    assert torch.equal(built(width=4, wrong="no")[1].weight, expected)


class Mixing(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.first, self.head, self.how = nn.Linear(3, 8), nn.Linear(8, 2), how
        nn.init.zeros_(self.head.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = self.first(x)
        if self.how == "centred":
            z = z - z.mean(0)
        return self.head(nn.functional.dropout(z, 0.5, self.training and self.how == "dropout"))


@pytest.mark.parametrize(("how", "mixes"), [("centred", True), ("dropout", True), ("none", False)])
def test_a_module_that_mixes_the_examples_of_a_batch_or_draws_is_known(how, mixes):
    module = Mixing(how)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert mixes_examples(module, (3,)) is mixes
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())


@pytest.mark.parametrize("where", ["everywhere", "in evaluation"])
def test_probabilities_for_logits_are_refused(where):
    class Shares(nn.Linear):
        def forward(self, x):
            scores = super().forward(x)
            return scores if self.training and where == "in evaluation" else scores.softmax(-1)

    with pytest.raises(UserError, match="found it, whose outputs are probabilities, which add up to 1; wanted logits"):
        check_logits("it", lambda: Shares(3, 4), (3,), seed=0)
    check_logits("it", lambda: nn.Sequential(nn.Linear(3, 4), nn.LogSoftmax(-1)), (3,), seed=0)
    check_logits("it", lambda: nn.Sequential(nn.Linear(3, 1), nn.Softmax(-1)), (3,), seed=0)  # a regression


class Soft(nn.Sequential):
    """Logits of a regression, and probabilities of classes."""

    def __init__(self, shape, outputs, *, width=4):
        super().__init__(
            nn.Linear(shape[0], width), nn.Linear(width, outputs), nn.Softmax(1) if outputs > 1 else nn.Identity()
        )


def test_what_a_module_is_for_one_data_set_says_nothing_of_another():
    model = Custom(module=f"{__name__}.Soft", width=4)
    for _ in range(2):
        model.build((3,), 1, torch.Generator())
        with pytest.raises(UserError, match="probabilities"):
            model.build((3,), 5, torch.Generator())
