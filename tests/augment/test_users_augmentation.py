"""An augmentation of the user's follows from its generator, and leaves its batch as it was."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest
import torch

from scaling.augment.mixed import Mixed
from scaling.augment.users_augmentation import check_users_augmentation
from scaling.errors import UserError


@dataclass(frozen=True)
class Noise:
    name: ClassVar[str] = "noise"
    how: str = "generator"

    def build(self, shape, outputs):
        rng, calls = np.random.default_rng(0), []

        def of_generator(x, y, generator):
            return x + torch.randn(x.shape, generator=generator), y

        def global_draws(x, y, generator):
            return x + torch.randn(x.shape) * np.random.random(), Mixed(
                y, y.flip(0), torch.rand((), generator=generator)
            )

        def own_draws(x, y, generator):
            return x + rng.random(), y

        def growing(x, y, generator):
            calls.append(0)
            return x * len(calls), y

        def in_place(x, y, generator):
            return x.mul_(2), y

        def twice(x, y, generator):
            return torch.cat([x, x]), torch.cat([y, y])

        def gamma(x, y, generator):  # for examples in [0, 1], other than those that it is tried on
            return x ** (0.5 + torch.rand((), generator=generator)), y

        def alone(x, y, generator):
            return x

        def seeding(x, y, generator):
            np.random.seed(0)
            return x + np.random.random(), y

        def double(x, y, generator):
            return x + torch.from_numpy(rng.random(x.shape[1:])).round() * 0, y

        def short(x, y, generator):
            return x, y.int()

        def shares(x, y, generator):
            return x, torch.nn.functional.one_hot(y, outputs).float()

        known = (
            double,
            short,
            shares,
            seeding,
            of_generator,
            global_draws,
            own_draws,
            growing,
            in_place,
            twice,
            gamma,
            alone,
        )
        return {f.__name__: f for f in known}.get(self.how)


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("own_draws", "gives another batch each time"),
        ("growing", "gives another"),
        ("in_place", "changes its batch in"),
        ("seeding", r"calls numpy\.random\.seed, so that every batch"),
        ("twice", "makes 8 examples of 4"),
        ("double", r"returns examples of torch\.float64; wanted torch\.float32"),
        ("short", r"returns labels of torch\.int32; wanted torch\.int64"),
        ("alone", "returns a Tensor; wanted the batch and its labels"),
    ],
)
def test_a_wrong_augmentation_is_refused_each_time(how, said):
    for _ in range(2):
        with pytest.raises(UserError, match=rf"found tests\.augment\.test_users_augmentation\.Noise, which {said}"):
            check_users_augmentation(Noise(how), (2, 3), 5)


@pytest.mark.parametrize("how", ["of_generator", "global_draws", "gamma", "shares", "none"])
def test_others_are_not(how):
    check_users_augmentation(Noise(how), (2, 3), 5)
