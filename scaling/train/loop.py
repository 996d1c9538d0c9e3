"""The training loop, and its state."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import nan
from time import monotonic
from typing import Any

import torch
from torch import Tensor, nn

from scaling.augment.own import check_augmentation
from scaling.config import RunConfig, Train
from scaling.errors import UserError
from scaling.global_streams import seed_streams, set_stream_states, stream_states
from scaling.internals.torch import skip_dynamo_import
from scaling.models.build_model import build_model
from scaling.models.custom import Custom
from scaling.models.own import mixes_examples
from scaling.models.own_state import OwnState, device_kinds
from scaling.optim.foreach import LionSteps
from scaling.optim.own import check_optimiser, keep_shares
from scaling.plan.identity import asked_precision
from scaling.plan.planned import PlannedRun
from scaling.security.modules import is_shipped
from scaling.train.feed.feed import Batches
from scaling.train.losses import Labels, objective
from scaling.train.precision import computed_precision
from scaling.train.step.compiled import compiled_parts
from scaling.train.step.launch import Launch, launch_of
from scaling.train.step.prepared import Step
from scaling.train.step.rates import Rates
from scaling.train.streams import derive_seed, stream

CHECK_STEPS = 64  # between two checks that the loss is finite; each check waits for the device
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)
TICK_SECONDS = 0.2  # between two calls of the callbacks


class Diverged(ArithmeticError):
    """The training loss is no longer finite."""


@dataclass(frozen=True)
class Reading:
    """The step of the loop, and the mean training loss since the last reading."""

    step: int
    loss: float


def shapes_of(weights: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the tensors in a state, by name."""
    return {name: tuple(value.shape) for name, value in weights.items() if isinstance(value, Tensor)}


def shape_if_own(config: RunConfig, size: tuple[int, int] | None = None) -> tuple[int, ...] | None:
    """Return the shape of an example that a user's module reads, None for a module of ours; size: of its images."""
    if is_shipped(type(config.model)) and not isinstance(config.model, Custom):
        return None
    shape: tuple[int, ...] = config.data.shape
    return shape if size is None else (*shape[:-2], *size)


def checked_micro_batch(train: Train, module: nn.Module, *, own: tuple[int, ...] | None = None) -> int:
    """Return the micro-batch, the examples computed at a time; UserError if splitting a batch would change the run.

    own: the shape of an example if the module is a user's, which is then tried.
    """
    if train.micro_batch is None or train.micro_batch >= train.batch:
        return train.batch
    if any(isinstance(part, BATCH_NORMS) for part in module.modules()):
        raise UserError(
            f"found train.micro_batch={train.micro_batch} with batch norm, whose statistics would be those of "
            f"{train.micro_batch} examples; wanted those of the batch of {train.batch}; take another norm, or drop it"
        )
    if any(isinstance(part, DROPOUTS) and part.p > 0 for part in module.modules()):
        raise UserError(
            f"found train.micro_batch={train.micro_batch} with dropout, which would draw other masks than for a whole "
            f"batch of {train.batch}; wanted the same run; set model.dropout=0, or drop it"
        )
    if own is not None and mixes_examples(module, own):
        raise UserError(
            f"found train.micro_batch={train.micro_batch} with {type(module).__qualname__}, whose outputs in training "
            f"depend on the rest of the batch or on random numbers; wanted the same run as with batches of "
            f"{train.batch}; drop train.micro_batch"
        )
    return train.micro_batch


class Trainer:
    """A model, its optimiser and random streams at one step of a run.

    module: trained instead of the config's model; size: (height, width) of its images, if it differs from the data's.
    """

    def __init__(
        self,
        run: PlannedRun,
        batches: Batches,
        device: torch.device,
        *,
        module: nn.Module | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        config, data = run.config, run.config.data
        if config.train.engine != "compile":
            skip_dynamo_import()
        self.run, self.batches, self.device = run, batches, device
        if module is None:
            module = build_model(config.model, data.shape, data.outputs, stream(config.seed, "init")).to(device)
        self.module: nn.Module = module.train()  # a user's module may keep a part of itself in evaluation mode
        self._own = OwnState(self.module)
        self.micro_batch = checked_micro_batch(config.train, self.module, own=shape_if_own(config, size))
        own = not is_shipped(type(config.optim))
        if own:
            check_optimiser(config.optim)
        self.optimizer: torch.optim.Optimizer = config.optim.build(self.module)
        if own:
            keep_shares(self.optimizer, config.optim.lr)
        self.augment = augmentation(config, size)
        self.augmentation = stream(config.seed, "augment", device=device)
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
        self.launched = ""  # how steps were launched, for the record

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
        launch, started = self._launched(), monotonic()
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
        self.seconds += monotonic() - started
        return True

    def _launched(self) -> Launch:
        """Return the way in which steps are launched, chosen before the first step of this attempt."""
        if self._launch is None:
            config, parameters = self.run.config, list(self.module.parameters())
            parts, feed, augment, loss = self.micro_batch, self.batches, self.augment, self._loss
            if config.train.engine == "compile":
                feed, scale = feed.stored()
                augment, loss = compiled_parts(loss, augment, scale, whole=parts >= config.train.batch)
                if isinstance(self.optimizer, LionSteps):
                    self.optimizer.compile()
            step = Step(
                loss, self.optimizer, parameters, augment, self.augmentation, config.train.clip, parts, self.total
            )
            # Replayed steps read float32 rates from GPU memory; rounding them always makes all launches equal.
            rates = Rates(self.optimizer, rounded=self.device.type == "cuda" and config.recipe_version > 1)
            self._launch = launch_of(config, step, feed, rates, self.module, self.device, at=self.step)
            self.launched = self._launch.name
        return self._launch

    def check(self) -> None:
        """Raise Diverged if any loss so far was not finite."""
        if not torch.isfinite(self.total):
            raise Diverged(f"the training loss is not finite at step {self.step}")

    def reading(self) -> Reading:
        """Return the step and the mean loss since the last reading; waits for the device."""
        total = self.total.item()
        step, before = self._read_at
        self._read_at = (self.step, total)
        return Reading(self.step, (total - before) / (self.step - step) if self.step > step else nan)

    def state(self) -> dict[str, Any]:
        """Return the state that the next step depends on."""
        own = self._own.changed()
        return {
            "step": self.step,
            "lr": self.lr,
            "total": self.total,
            "model": self.module.state_dict(),
            "own": own,
            "own_devices": device_kinds(own),
            "optimizer": self.optimizer.state_dict(),
            "augmentation": self.augmentation.get_state(),
            "global": stream_states(self._gpus),
            "precision": self._precision,
        }

    def misfit(self, state: dict[str, Any]) -> str:
        """Return why a state does not fit this model, optimiser and kind of device, "" if it fits."""
        found, own = shapes_of(state["model"]), shapes_of(self.module.state_dict())
        for name in sorted(found.keys() | own.keys()):
            if found.get(name) != own.get(name):
                return f"its {name} has the shape {found.get(name, 'none')}, the model's {own.get(name, 'none')}"
        trained = [len(group["params"]) for group in state["optimizer"]["param_groups"]]
        if trained != [len(group["params"]) for group in self.optimizer.param_groups]:
            return "its optimiser trains other parameters"
        if state["augmentation"].numel() != self.augmentation.get_state().numel():
            return "its random streams are those of another kind of device"
        if (computed := state.get("precision", self._precision)) != self._precision:  # not in older checkpoints
            return f"it was computed in {computed}, which here would be {self._precision}"
        return ""

    def load(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.module.load_state_dict(state["model"])
        self._own.load(state.get("own", {}), state.get("own_devices", {}))  # not in older checkpoints
        self.optimizer.load_state_dict(state["optimizer"])
        self.augmentation.set_state(state["augmentation"])
        set_stream_states(_streams_of(state), self._gpus)
        self.total.copy_(state["total"])
        self.began = self.step = state["step"]
        self.lr = state["lr"]
        self._read_at = (self.step, self.total.item())


def augmentation(config: RunConfig, size: tuple[int, int] | None) -> Any:
    """Return the function that augments a batch, if possible at the network's image size; None for no augmentation."""
    data, build_at = config.data, getattr(config.augment, "build_at", None)
    if not is_shipped(type(config.augment)):
        check_augmentation(config.augment, data.shape, data.outputs)
    if size is not None and build_at is not None:
        return build_at(data.shape, data.outputs, size)
    return config.augment.build(data.shape, data.outputs)


def _streams_of(state: dict[str, Any]) -> dict[str, Any]:
    """Return the states of the global streams; version 0.1.0 saved only torch's."""
    found = state["global"]
    return found if isinstance(found, dict) else {"torch": found}
