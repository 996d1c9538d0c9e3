"""The computation of a stack: the parameters of all its members, and the steps that they take together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Any

import numpy as np
import torch
from torch import Tensor

from scaling.augment.mixed import Mixed
from scaling.config import Train
from scaling.optim.sgd import SGD
from scaling.plan.identity import asked_precision
from scaling.train import loop
from scaling.train.losses import Labels
from scaling.train.stacked.augmentation import stacked_augment
from scaling.train.stacked.feeds import StackedFeed
from scaling.train.stacked.layers import Forward, Stacking, UnknownLayer, stack_layers
from scaling.train.stacked.losses import stacked_objective
from scaling.train.stacked.optimisers import STEPS
from scaling.train.stacked.rows import Rows, layout_of
from scaling.train.stacked.seat import Seat, optimizer_state, streams_state
from scaling.train.stacked.vmapped import check_mapped, map_module

CLIP_EPS = 1e-6  # as in torch.nn.utils.clip_grad_norm_


class Stack:
    """The members that are trained now, in the order of their rows; NotStackable where their modules forbid it."""

    def __init__(self, seats: Sequence[Seat], device: torch.device) -> None:
        first = seats[0]
        self.seats, self.device, self.config = list(seats), device, first.attempt.run.config
        self.batch = first.attempt.run.quantities.batch
        self.micro_batch = loop.checked_micro_batch(self.config.train, first.module)
        optim = self.config.optim
        layout = layout_of(first.module, body_share=getattr(optim, "body_share", 1.0), sgd=isinstance(optim, SGD))
        self.rows = Rows(layout, [seat.module for seat in seats])
        optims = [seat.attempt.run.config.optim for seat in seats]
        self.optimiser = STEPS[type(self.config.optim)](layout, optims, self.rows.trained)
        self.totals = torch.tensor([seat.total for seat in seats], dtype=torch.float64, device=device)
        self._load_moments()
        self._check_mapped()
        self._bind()
        self._next_tick = monotonic() + loop.TICK_SECONDS

    def _load_moments(self) -> None:
        for row, seat in enumerate(self.seats):
            for name, rows in self.optimiser.state.items():
                for column in self.rows.layout.columns:
                    found = seat.moments.get(column.name, {}).get(name)
                    if found is not None:
                        rows[row, column.start : column.stop] = found.flatten()
            seat.moments = {}

    def _forward(self) -> Forward:
        module = self.seats[0].module
        try:
            return stack_layers(module, Stacking(self.rows.values, [seat.dropout for seat in self.seats]))
        except UnknownLayer:
            return map_module(module, self.rows.leaves, self.rows.fixed)

    def _check_mapped(self) -> None:
        """Try a module that is mapped: its examples have the shape of what is trained on."""
        module = self.seats[0].module
        try:
            stack_layers(module, Stacking(self.rows.values, []))
        except UnknownLayer:
            shape = tuple(self.seats[0].attempt.sets.test.x.shape[1:])
            modules = [seat.module for seat in self.seats]
            check_mapped(modules, self.rows.leaves, self.rows.fixed, shape)

    def _bind(self) -> None:
        """Make what depends on who the members are."""
        configs = [seat.attempt.run.config for seat in self.seats]
        trains: list[Train] = [config.train for config in configs]
        learner, generators = self.seats[0].learner, [seat.augmentation for seat in self.seats]
        self.forward = self._forward()
        self.measure = stacked_objective(
            self.config.data.metric, [train.label_smoothing for train in trains], self.device
        )
        self.augment = stacked_augment(configs, generators, learner.size if learner else None)
        clips = [inf if train.clip is None else train.clip for train in trains]
        self.clip = None if min(clips) == inf else torch.tensor(clips, device=self.device)
        self.gradients = torch.empty_like(self.rows.trained)

    def select(self, kept: Sequence[int]) -> None:
        """Go on with the members at these rows alone."""
        index = torch.tensor(kept, dtype=torch.int64, device=self.device)
        self.seats = [self.seats[row] for row in kept]
        self.totals = self.totals.index_select(0, index)
        self.rows.select(index)
        self.optimiser.select(index, self.rows.trained)
        if self.seats:
            self._bind()

    def advance(self, count: int, tick: Callable[[], bool]) -> None:
        """Take up to `count` steps together; fewer where `tick`, called from time to time, has returned False."""
        started, done = monotonic(), 0
        rates, begun = self._prepare(count), [seat.step for seat in self.seats]
        shape = tuple(self.seats[0].attempt.sets.test.x.shape[1:])
        feed = StackedFeed.of([seat.feed for seat in self.seats], begun, self.device)

        def stand() -> None:
            for row, seat in enumerate(self.seats):
                seat.step, seat.lr = begun[row] + done, float(rates[done - 1, row])

        for x, y in feed.batches(count, batch=self.batch, shape=shape):
            self._step(x, y, done)
            done += 1
            if monotonic() >= self._next_tick:
                stand()
                if not tick():
                    break
                self._next_tick = monotonic() + loop.TICK_SECONDS
        stand()
        share = (monotonic() - started) / len(self.seats)
        for seat in self.seats:
            seat.seconds += share

    def _prepare(self, count: int) -> np.ndarray:
        """Compute the members' rates of the coming steps, (count, K) float64, and what else depends on the step."""
        factors: dict[tuple[int, int], np.ndarray] = {}
        schedule = self.config.schedule
        for at in {(seat.step, seat.steps) for seat in self.seats}:
            factors[at] = np.array([schedule.factor(at[0] + i, at[1]) for i in range(count)])
        bases = [optim.lr for optim in self.optimiser.optims]
        rates = np.stack([lr * factors[s.step, s.steps] for lr, s in zip(bases, self.seats, strict=True)], axis=1)
        self.optimiser.prepare(rates, np.array([seat.step for seat in self.seats]), self.rows.trained)
        return rates

    def _step(self, x: Tensor, y: Tensor, s: int) -> None:
        labels: Labels = y
        if self.augment is not None:
            x, labels = self.augment(x, y)
        losses = self._take_gradients(x, labels)
        if self.clip is not None:
            norms = self.gradients.norm(dim=1)
            self.gradients.mul_((self.clip / (norms + CLIP_EPS)).clamp_(max=1.0).unsqueeze(1))
        self.optimiser.step(self.rows.trained, self.gradients, s)
        self.totals.add_(losses)

    def _take_gradients(self, x: Tensor, y: Labels) -> Tensor:
        """Compute the members' gradients of their batches, (K, width), and return their mean losses (K,), detached."""
        leaves, size = list(self.rows.leaves.values()), self.micro_batch
        total, summed = torch.zeros(len(x), device=self.device), list[Tensor]()
        for start in range(0, self.batch, size):
            part = x[:, start : start + size]
            losses = self._losses(part, _cut(y, start, start + size)) * (part.shape[1] / self.batch)
            gradients = torch.autograd.grad(losses.sum(), leaves)
            summed = [a + b for a, b in zip(summed, gradients, strict=True)] if summed else list(gradients)
            total += losses.detach()
        torch.cat([gradient.reshape(len(x), -1) for gradient in summed], dim=1, out=self.gradients)
        return total

    def _losses(self, x: Tensor, y: Labels) -> Tensor:
        if asked_precision(self.config) != "bf16":
            return self.measure(self.forward(x), y)
        with torch.autocast(self.device.type, torch.bfloat16):
            return self.measure(self.forward(x), y)

    def states(self) -> list[dict[str, Any]]:
        """Return each member's state as a trainer of it alone keeps it, in the host's memory."""
        trained, totals = self.rows.trained.cpu(), self.totals.cpu()
        moments = {name: rows.cpu() for name, rows in self.optimiser.state.items()}
        return [self._state(row, trained[row], totals[row], moments) for row in range(len(self.seats))]

    def _state(self, row: int, trained: Tensor, total: Tensor, moments: dict[str, Tensor]) -> dict[str, Any]:
        seat = self.seats[row]
        own = {
            column.name: {name: column.of(rows)[row] for name, rows in moments.items()}
            for column in self.rows.layout.columns
        }
        return {
            "step": seat.step,
            "lr": seat.lr,
            "total": total,
            "model": self.rows.state(row, trained),
            "optimizer": optimizer_state(seat, own, counts=self.optimiser.counts),
            "augmentation": seat.augmentation.get_state(),
            "global": streams_state(seat),
        }


def _cut(y: Labels, start: int, stop: int) -> Labels:
    """Return the labels of a part of each member's batch."""
    if isinstance(y, Mixed):
        return Mixed(y.first[:, start:stop], y.second[:, start:stop], y.share)
    return y[:, start:stop]
