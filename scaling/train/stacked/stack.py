"""The computation of a stack: the parameters of all its members, and the steps that they take together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from time import monotonic
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from scaling.augment.build_augmentation import build_augmentation
from scaling.augment.none import Unchanged
from scaling.augment.standard import Standard
from scaling.models.parts import has_dropout
from scaling.optim.sgd import SGD
from scaling.plan.identity import asked_precision
from scaling.train import loop
from scaling.train.evaluation import Evaluation
from scaling.train.precision import computed_precision
from scaling.train.stacked.augmentation import stacked_augment
from scaling.train.stacked.curves import is_on_curve, take_curves
from scaling.train.stacked.evaluation import evaluate_together
from scaling.train.stacked.feeds import StackedFeed
from scaling.train.stacked.layers import MemberValues, stack_layers
from scaling.train.stacked.losses import stacked_objective, stacked_slopes
from scaling.train.stacked.member_state import MemberState, optimizer_state, streams_state
from scaling.train.stacked.optimisers import STACKED
from scaling.train.stacked.rows import Rows, layout_of
from scaling.train.stacked.steps.gradients import Gradients, gradients_by_autograd, gradients_by_hand
from scaling.train.stacked.steps.inputs import Block
from scaling.train.stacked.steps.launch import Launch, Steps, launch_of
from scaling.train.stacked.steps.step import StackedStep
from scaling.train.stacked.users.trial import TRIED, check_stackable_augmentation, check_stackable_module, needs_vmap
from scaling.train.stacked.users.vmapped import NotStackable, map_module
from scaling.train.step.micro_batch import micro_batch_of


class _Planned(NamedTuple):
    """The next steps; key: number of steps, members and their positions; rates (steps, rows); block: their inputs."""

    key: tuple[Any, ...]
    rates: np.ndarray
    block: Block


class Stack:
    """The members that are being trained together; NotStackable if their modules cannot be stacked.

    A member's position in `members` is not its row in the tensors, which is at the same position in `places`: while
    steps are replayed from a graph, the rows of members that have left remain, until half of all rows are unused.
    """

    def __init__(self, members: Sequence[MemberState], device: torch.device) -> None:
        first = members[0]
        self.members, self.places, self.device = list(members), list(range(len(members))), device
        self.config = first.attempt.run.config
        self.shape = tuple(first.attempt.sets.test.x.shape[1:])
        check_stackable_module(first.module)
        optim = self.config.optim
        layout = layout_of(first.module, body_share=getattr(optim, "body_share", 1.0), sgd=isinstance(optim, SGD))
        self.rows = Rows(layout, [member.module for member in members])
        optims = [member.attempt.run.config.optim for member in members]
        if type(optim) not in STACKED:
            raise NotStackable(f"{type(optim).__name__} has no stacked form")
        self.optimiser = STACKED[type(optim)](layout, optims, self.rows.trained)
        self.totals = torch.tensor([member.total for member in members], dtype=torch.float64, device=device)
        self._load_moments()
        self.rows.by_vmap = self._needs_vmap()
        self._launch: Launch | None = None
        self._ahead: _Planned | None = None
        self._next_tick = monotonic() + loop.TICK_SECONDS

    def _load_moments(self) -> None:
        for row, member in enumerate(self.members):
            for name, rows in self.optimiser.state.items():
                for column in self.rows.layout.columns:
                    found = member.moments.get(column.name, {}).get(name)
                    if found is not None:
                        rows[row, column.start : column.stop] = found.flatten()
            member.moments = {}

    def _gradients(self, smoothing: Sequence[float]) -> Gradients:
        module, generators = self.members[0].module, [member.dropout_generator for member in self.members]
        loss = (self.config.data.metric, smoothing, self.device)
        bf16 = asked_precision(self.config) == "bf16"  # only autograd implements it
        if self.rows.by_vmap:
            forward = map_module(module, self.rows.values)
            return gradients_by_autograd(forward, self.rows, stacked_objective(*loss), bf16=bf16)
        by_hand = None if bf16 else gradients_by_hand(module, self.rows, generators, stacked_slopes(*loss))
        if by_hand is not None:
            return by_hand
        forward = stack_layers(module, MemberValues(self.rows.values, generators))
        return gradients_by_autograd(forward, self.rows, stacked_objective(*loss), bf16=bf16)

    def _needs_vmap(self) -> bool:
        """Try users' augmentations and modules on a few examples; return whether the modules need vmap."""
        first, modules = self.members[0], [member.module for member in self.members]
        x, y = first.attempt.sets.test.between(0, TRIED)
        if not isinstance(self.config.augment, Standard | Unchanged):
            augment = build_augmentation(self.config, first.learner.size)
            check_stackable_augmentation(augment, x, y)
        return needs_vmap(modules, self.rows, x, self.config.data.outputs)

    def _step(self) -> StackedStep:
        """Return the step for the present members."""
        configs = [member.attempt.run.config for member in self.members]
        trains = [config.train for config in configs]
        generators = [member.augment_generator for member in self.members]
        smoothing = [train.label_smoothing for train in trains]
        clips = [inf if train.clip is None else train.clip for train in trains]
        return StackedStep(
            of_batch=self._gradients(smoothing),
            augment=stacked_augment(configs, generators, self.members[0].learner.size),
            clip=None if min(clips) == inf else torch.tensor(clips, device=self.device),
            micro_batch=micro_batch_of(self.config.train),
            rows=self.rows,
            optimiser=self.optimiser,
            totals=self.totals,
            gradients=torch.empty_like(self.rows.trained),
        )

    def _chosen_launch(self, block: Block) -> Launch:
        """Return the launch of the steps, chosen before a block and kept as long as the rows stay the same."""
        if self._launch is None:
            step, module = self._step(), self.members[0].module
            drawn = [] if step.augment is None else [member.augment_generator for member in self.members]
            if has_dropout(module):
                drawn += [member.dropout_generator for member in self.members]
            generators = [generator for generator in drawn if generator.device.type == self.device.type]
            steps = Steps(step, block, module, self.device, generators, self.shape)
            self._launch = launch_of(self.config.train, steps)
            for member in self.members:
                member.attempt.how["launch"] = self._launch.name
        return self._launch

    def select(self, kept: Sequence[int]) -> None:
        """Keep only these members, by position."""
        self.members, self.places = [self.members[i] for i in kept], [self.places[i] for i in kept]
        stays = self._launch is not None and self._launch.holds_rows and 2 * len(kept) > len(self.totals)
        if not stays:
            self._narrow()

    def _narrow(self) -> None:
        """Drop the rows of members that have left."""
        self._launch = self._ahead = None  # first, to free the memory of a graph
        index = torch.tensor(self.places, dtype=torch.int64, device=self.device)
        self.places = list(range(len(self.members)))
        self.totals = self.totals.index_select(0, index)
        self.rows.select(index)
        self.optimiser.select(index, self.rows.trained)

    def advance(self, count: int, tick: Callable[[], bool]) -> None:
        """Take `count` steps together; fewer if `tick`, called regularly, returns False."""
        done, begun = 0, [member.step for member in self.members]
        (_, rates, block), self._ahead = self._planned(count), None

        def note_progress() -> None:
            for start, place, member in zip(begun, self.places, self.members, strict=True):
                member.step, member.lr = start + done, float(rates[done - 1, place])

        for _ in self._chosen_launch(block).steps(block):
            done += 1
            if monotonic() >= self._next_tick:
                note_progress()
                if not tick():
                    break
                self._next_tick = monotonic() + loop.TICK_SECONDS
        note_progress()

    def prepare(self, count: int) -> None:
        """Compute the inputs of the next steps while the device works; `advance` uses them if they still fit."""
        if self._launch is not None and self._launch.holds_rows:
            self._ahead = self._planned(count)
            self._launch.prepare(self._ahead.block)

    def _planned(self, count: int) -> _Planned:
        key = (count, tuple((id(member), member.step) for member in self.members))
        if self._ahead is not None and self._ahead.key == key:
            return self._ahead
        rates = self._rates(count)
        return _Planned(key, rates, self._block(rates))

    def _rates(self, count: int) -> np.ndarray:
        """Return the learning rates of the next steps, (count, rows) float64, 0 in rows of members that have left."""
        factors: dict[tuple[int, int], np.ndarray] = {}
        schedule = self.config.schedule
        for step, steps in {(member.step, member.steps) for member in self.members}:
            factors[step, steps] = np.array([schedule.factor(step + i, steps) for i in range(count)])
        rates = np.zeros((count, len(self.totals)))
        for place, member in zip(self.places, self.members, strict=True):
            rates[:, place] = member.attempt.run.config.optim.lr * factors[member.step, member.steps]
        return rates

    def _block(self, rates: np.ndarray) -> Block:
        """Return the inputs of the next steps; rows of members that have left read the first member's examples."""
        by_row = [self.members[0]] * len(self.totals)
        for place, member in zip(self.places, self.members, strict=True):
            by_row[place] = member
        steps, batch = [member.step for member in by_row], self.members[0].attempt.run.quantities.batch
        feed = StackedFeed.of([member.feed for member in by_row], steps, batch)
        return Block(self.optimiser.table(rates, np.array(steps)), feed)

    def wait(self) -> None:
        """Wait for the launched steps."""
        if self.device.type == "cuda":
            torch.cuda.current_stream(self.device).synchronize()

    def read_totals(self) -> list[float]:
        """Return the sums of the members' losses so far; waits for the device."""
        totals = self.totals.tolist()
        return [totals[place] for place in self.places]

    def evaluate(self, positions: Sequence[int]) -> list[Evaluation | Exception]:
        """Evaluate some of the members; the error of a single one takes the place of its scores."""
        members, places = [self.members[i] for i in positions], [self.places[i] for i in positions]
        for member, place in zip(members, places, strict=True):
            if member.reads_module:
                self.rows.write_to(member.module, place)
        return evaluate_together(members, places, self.rows)

    def take_curves(self, positions: Sequence[int]) -> dict[int, Exception]:
        """Log the losses of those members that are at a step of their learning curve; return errors of single ones."""
        due = [i for i in positions if is_on_curve(self.members[i])]
        members, places = [self.members[i] for i in due], [self.places[i] for i in due]
        return {due[i]: error for i, error in take_curves(members, places, self.rows).items()}

    def states(self) -> list[dict[str, Any]]:
        """Return each member's state in the format of its own trainer, in host memory."""
        trained, totals = self.rows.trained.cpu(), self.totals.cpu()
        moments = {name: rows.cpu() for name, rows in self.optimiser.state.items()}
        return [
            self._state(member, place, trained[place], totals[place], moments)
            for member, place in zip(self.members, self.places, strict=True)
        ]

    def _state(
        self, member: MemberState, row: int, trained: Tensor, total: Tensor, moments: dict[str, Tensor]
    ) -> dict[str, Any]:
        moments_by_name = {
            column.name: {name: column.of(rows)[row] for name, rows in moments.items()}
            for column in self.rows.layout.columns
        }
        return {
            "step": member.step,
            "lr": member.lr,
            "total": total,
            "model": self.rows.state(row, trained),
            "own": {},  # modules whose values change beside their parameters are trained one by one
            "own_devices": {},
            "optimizer": optimizer_state(member, moments_by_name, counts=self.optimiser.counts),
            "augmentation": member.augment_generator.get_state(),
            "global": streams_state(member),
            "precision": computed_precision(self.config, self.device),
        }
