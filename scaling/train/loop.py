"""The training loop, and its state."""

from __future__ import annotations

from collections.abc import Callable
from math import nan
from time import monotonic
from typing import Any

import torch
from torch import Tensor
from torch.nn.parameter import is_lazy

from scaling.augment.build_augmentation import build_augmentation
from scaling.global_streams import seed_streams, set_stream_states, stream_states
from scaling.internals.torch import skip_dynamo_import
from scaling.models.build_model import build_model
from scaling.models.custom import is_users_module
from scaling.models.module_state import UnsavedState, device_kinds
from scaling.models.parts import shape_difference
from scaling.optim.build_optimiser import build_optimiser
from scaling.optim.foreach import LionSteps
from scaling.optim.users_optimiser import check_still_trains_all
from scaling.plan.identity import asked_precision
from scaling.plan.planned import PlannedRun
from scaling.schedules.users_schedule import check_users_schedule
from scaling.security.modules import is_shipped
from scaling.train.feed.feed import Batches
from scaling.train.learner import Learner
from scaling.train.losses import Labels, objective
from scaling.train.precision import computed_precision
from scaling.train.sizes import CHECK_STEPS
from scaling.train.step.compiled import compiled_parts
from scaling.train.step.launch import Launch, Steps, launch_of
from scaling.train.step.micro_batch import check_micro_batch, micro_batch_of
from scaling.train.step.prepared import Step
from scaling.train.step.rates import Rates
from scaling.train.streams import derive_seed, stream

TICK_SECONDS = 0.2  # between two calls of the callbacks


class Diverged(ArithmeticError):
    """The training loss is no longer finite."""


class Trainer:
    """A model, its optimiser and random streams at a step of a run; learner: trained instead of the config's model."""

    def __init__(self, run: PlannedRun, batches: Batches, device: torch.device, learner: Learner | None = None) -> None:
        config, data = run.config, run.config.data
        if config.train.engine != "compile":
            skip_dynamo_import()
        self.run, self.batches, self.device = run, batches, device
        if learner is None:
            module = build_model(config.model, data.shape, data.outputs, stream(config.seed, "init")).to(device)
            learner = Learner(module, module)
        self.learner, self.module = learner, learner.module
        self.module.train()  # a user's may keep a part of itself in evaluation mode, and return nothing
        self._unsaved = UnsavedState(self.module)
        check_micro_batch(config, self.module, size=learner.size)
        self.micro_batch = micro_batch_of(config.train)
        check_users_schedule(config.schedule, run.quantities.steps)
        self.optimizer = build_optimiser(config.optim, self.module)
        self.augment = build_augmentation(config, learner.size)
        self.augment_generator = stream(config.seed, "augment", device=device)
        seed_streams(derive_seed(config.seed, "dropout"))  # dropout and users' modules draw from these
        self._gpus = [device] if device.type == "cuda" else []
        self._precision = computed_precision(config, device)
        self.step, self.lr = 0, nan
        self.began, self.seconds = 0, 0.0  # the step this attempt began at; its time in `advance`
        self._next_tick = monotonic() + TICK_SECONDS
        self.total = torch.zeros((), dtype=torch.float64, device=device)  # sum of the losses of all steps
        self._read_at = (0, 0.0)
        self._loss = self._objective()
        self._launch: Launch | None = None
        self.launch_name = ""  # for the record

    def _objective(self) -> Callable[[Tensor, Labels], Tensor]:
        train, module, kind = self.run.config.train, self.module, self.device.type  # not self: no reference cycle
        measure = objective(self.run.config.data.metric, label_smoothing=train.label_smoothing)

        def loss(x: Tensor, y: Labels) -> Tensor:
            return measure(module(x), y)

        def loss_bf16(x: Tensor, y: Labels) -> Tensor:
            with torch.autocast(kind, torch.bfloat16):
                return measure(module(x), y)

        return loss_bf16 if asked_precision(self.run.config) == "bf16" else loss

    def advance(self, until: int, tick: Callable[[], bool]) -> bool:
        """Train up to step `until` and return True; return False as soon as `tick`, called regularly, returns False.

        Raises Diverged if the loss is no longer finite, at a step that does not depend on timing.
        """
        schedule, base, steps = self.run.config.schedule, self.run.config.optim.lr, self.run.quantities.steps
        launch, started = self._chosen_launch(), monotonic()
        for values in launch.between(self.step, until):
            self.lr = base * float(schedule.factor(self.step, steps))
            launch.take(values, self.lr)
            self.step += 1
            if self.step % CHECK_STEPS == 0:
                self.check()
            if monotonic() >= self._next_tick:
                if not tick():
                    return False
                self._next_tick = monotonic() + TICK_SECONDS
        self.check()
        if is_users_module(self.run.config.model):
            check_still_trains_all(self.run.config.model.family, self.optimizer, self.module)
        self.seconds += monotonic() - started
        return True

    def _chosen_launch(self) -> Launch:
        """Return the way in which steps are launched, chosen before the first step of this attempt."""
        if self._launch is None:
            config = self.run.config
            batches, augment, loss = self.batches, self.augment, self._loss
            if config.train.engine == "compile":
                batches, scale = batches.stored()
                augment, loss = compiled_parts(loss, augment, scale, whole=self.micro_batch >= config.train.batch)
                if isinstance(self.optimizer, LionSteps):
                    self.optimizer.compile()
            step = Step(
                loss=loss,
                optimizer=self.optimizer,
                parameters=list(self.module.parameters()),
                augment=augment,
                generator=self.augment_generator,
                clip=config.train.clip,
                micro_batch=self.micro_batch,
                total=self.total,
            )
            # Replayed steps read float32 rates from GPU memory; rounding them always makes all launches equal.
            rates = Rates(self.optimizer, rounded=self.device.type == "cuda" and config.recipe_version > 1)
            self._launch = launch_of(config, Steps(step, batches, rates, self.module, self.device, self.step))
            self.launch_name = self._launch.name
        return self._launch

    def check(self) -> None:
        """Raise Diverged if any loss so far was not finite."""
        if not torch.isfinite(self.total):
            raise Diverged(f"the training loss is not finite at step {self.step}")

    def mean_loss(self) -> float:
        """Return the mean loss of the steps since the last call, nan if there were none; waits for the device."""
        total = self.total.item()
        step, before = self._read_at
        self._read_at = (self.step, total)
        return (total - before) / (self.step - step) if self.step > step else nan

    def state(self) -> dict[str, Any]:
        """Return the state that the next step depends on."""
        unsaved = self._unsaved.changed()
        return {
            "step": self.step,
            "lr": self.lr,
            "total": self.total,
            "model": self.module.state_dict(),
            "own": unsaved,
            "own_devices": device_kinds(unsaved),
            "optimizer": self.optimizer.state_dict(),
            "augmentation": self.augment_generator.get_state(),
            "global": stream_states(self._gpus),
            "precision": self._precision,
        }

    def misfit(self, state: dict[str, Any]) -> str:
        """Return why a state does not fit this model, optimiser and kind of device, "" if it fits."""
        if difference := shape_difference(state["model"], self.module.state_dict()):
            name, found, wanted = difference
            return f"its {name} has the shape {found}, the model's {wanted}"
        trained = [len(group["params"]) for group in state["optimizer"]["param_groups"]]
        if trained != [len(group["params"]) for group in self.optimizer.param_groups] or self._moves_others(state):
            return "its optimiser trains other parameters"
        if state["augmentation"].numel() != self.augment_generator.get_state().numel():
            return "its random streams are those of another kind of device"
        if (computed := state.get("precision", self._precision)) != self._precision:  # not in older checkpoints
            return f"it was computed in {computed}, which here would be {self._precision}"
        return ""

    def _moves_others(self, state: dict[str, Any]) -> bool:
        """Return whether moments have other shapes than their parameters, as where an earlier version grouped them."""
        parameters = [parameter for group in self.optimizer.param_groups for parameter in group["params"]]
        return is_shipped(type(self.run.config.optim)) and any(
            isinstance(moment, Tensor) and moment.ndim > 0 and moment.shape != parameters[index].shape
            for index, moments in state["optimizer"]["state"].items()
            if not is_lazy(parameters[index])
            for moment in moments.values()
        )

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self._unsaved.load(state.get("own", {}), state.get("own_devices", {}))  # not in older checkpoints
        self.module.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.augment_generator.set_state(state["augmentation"])
        set_stream_states(_streams_of(state), self._gpus)
        self.total.copy_(state["total"])
        self.began = self.step = state["step"]
        self.lr = state["lr"]
        self._read_at = (self.step, self.total.item())


def _streams_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return the states of the global streams; version 0.1.0 saved only torch's."""
    found = state["global"]
    return found if isinstance(found, dict) else {"torch": found}
