"""Forecast the seconds and memory of a run on a device, from a speed probe and from finished runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

from scaling.accounting import Layer
from scaling.config import RunConfig
from scaling.devices import check_device, device_name, gpus
from scaling.forecast.cards import USUAL
from scaling.forecast.learned import Learned, Took, learn
from scaling.forecast.speed import VMAPPED, Costs, Speed, StackCosts, known_speed
from scaling.forecast.work import ALONE, StackShare, Work, has_custom_module, memory_bytes, step_work
from scaling.optim.lstsq import LeastSquares
from scaling.plan.identity import device_precision
from scaling.plan.planned import PlannedRun
from scaling.security.modules import is_shipped
from scaling.train.output.curve_steps import curve_steps
from scaling.train.sizes import EVALUATED_ROWS, TRAIN_EXAMPLES

FORWARD_SHARE = 1 / 3  # of a training step
# Cost of scoring an output, alone and in a stack, relative to that of an activation: measured on a CPU, where a softmax
# along rows is slow.
SCORED, SCORED_TOGETHER = 8, 3
COMPILE_SECONDS = {"cpu": 4.0, "cuda": 8.0}  # for each run; compiled code is mostly cached
QR_SLOWDOWN = 4  # seconds per FLOP of a float64 QR, relative to float32 matrix products
NOTHING_LEARNED = Learned()

UNKNOWN = dict.fromkeys(("run_id", "seconds", "memory_bytes", "device", "basis"))  # a row without a forecast


@dataclass(frozen=True)
class Forecast:
    """Expected seconds and memory of a run on a device; basis: the source of the forecast, in words."""

    seconds: float
    memory_bytes: int
    device: str
    basis: str

    def row(self) -> dict[str, Any]:
        """Return the columns of forecast.csv."""
        return {
            "seconds": round(self.seconds, 3),
            "memory_bytes": self.memory_bytes,
            "device": self.device,
            "basis": self.basis,
        }


@dataclass(frozen=True)
class Forecasts:
    """The forecasts of runs, by run_id.

    work: see `relative_work`, if the device of some was not probed; stack_shares: the stacks that both assume.
    """

    by_id: Mapping[str, Forecast] = field(default_factory=dict)
    work: Mapping[str, float] = field(default_factory=dict)
    stack_shares: Mapping[str, StackShare] = field(default_factory=dict)

    def share(self, run_id: str) -> StackShare:
        """Return the stack of a run."""
        return self.stack_shares.get(run_id, ALONE)

    def rows(self) -> list[dict[str, Any]]:
        """Return the rows of forecast.csv, one a run."""
        rows = {run_id: {"run_id": run_id, **forecast.row()} for run_id, forecast in self.by_id.items()}
        for run_id, each in self.work.items():
            rows[run_id] = {**UNKNOWN, **rows.get(run_id, {"run_id": run_id}), "work": each}
        for run_id in rows.keys() & self.stack_shares.keys():
            share = self.stack_shares[run_id]
            rows[run_id] |= {"members": round(share.runs, 3), "beside": share.beside}
        return list(rows.values())


def forecast(
    run: PlannedRun, speed: Speed, learned: Learned = NOTHING_LEARNED, *, stack_share: StackShare = ALONE
) -> Forecast:
    """Forecast a run from the speed of its device, corrected by finished runs.

    stack_share: its stack, whose members share their time and memory. Included are the steps, the evaluations at
    milestones, drawing fresh data, compiling, the fixed cost of a run, and on a CPU what it loses while other cores
    train as well (for a single worker, too); not included are reading data sets from disk, and the gain of a compiled
    step.
    """
    ratio, remark = learned.ratio(run)
    basis = f"probe of {speed.device}" if speed.probed_at else speed.device
    if not remark and has_custom_module(run):
        remark = "a guess from its layers"  # a user's module may do anything besides
    seconds = ratio * estimate(run, speed, stack_share=stack_share)
    memory = memory_bytes(run, kind=speed.kind, members=stack_share.members, card=speed.memory)
    return Forecast(seconds, memory, speed.device, f"{basis}, {remark}" if remark else basis)


def forecast_all(
    runs: Iterable[PlannedRun],
    *,
    threads: int = 1,
    done: Iterable[tuple[PlannedRun, float]] = (),
    partition: str | None = None,
    stack_shares: Mapping[str, StackShare] | None = None,
) -> dict[str, Forecast]:
    """Forecast runs, by run_id, from the speed probe of this machine and from finished runs.

    Runs whose device was not probed are left out unless runs of the same shape are done. done: runs done on this
    machine, with their seconds; partition: of a cluster, whose probe replaces this machine's (that of a GPU, if there
    is one); stack_shares: the runs' stacks, by run_id.
    """
    stack_shares = stack_shares or {}
    speeds = {kind: known_speed(kind, threads, partition=partition) for kind in ("cpu", "cuda")}
    if partition is not None:
        speeds = dict.fromkeys(speeds, speeds["cuda"] or speeds["cpu"])

    def estimated(run: PlannedRun) -> float | None:
        speed = speeds.get(device_kind(run.config))
        return None if speed is None else estimate(run, speed, stack_share=stack_shares.get(run.run_id, ALONE))

    learned = learn(Took(run, seconds, estimated(run)) for run, seconds in done)
    forecasts = {}
    for run in runs:
        kind = device_kind(run.config)
        speed = speeds.get(kind)
        if speed is not None:
            forecasts[run.run_id] = forecast(run, speed, learned, stack_share=stack_shares.get(run.run_id, ALONE))
        elif (found := learned.seconds(run)) is not None:
            seconds, basis = found
            memory = memory_bytes(run, kind=kind, members=stack_shares.get(run.run_id, ALONE).members)
            forecasts[run.run_id] = Forecast(seconds, memory, device_name(kind), basis)
    return forecasts


def relative_work(runs: Iterable[PlannedRun], *, stack_shares: Mapping[str, StackShare]) -> dict[str, float]:
    """Return the work of runs relative to each other, by run_id: their seconds on a usual device of the kind."""
    return {
        run.run_id: estimate(run, USUAL[device_kind(run.config)], stack_share=stack_shares.get(run.run_id, ALONE))
        for run in runs
    }


def device_kind(config: RunConfig) -> str:
    """Return the kind of device, cpu or cuda, on which this machine will train a run; UserError for any other name."""
    check_device(config.train.device)
    wanted = config.train.device.partition(":")[0]
    if wanted == "auto":
        return "cuda" if gpus() else "cpu"
    return wanted


def estimate(run: PlannedRun, speed: Speed, *, stack_share: StackShare = ALONE) -> float:
    """Return the seconds of a run by the speed probe alone.

    stack_share: its stack, whose members share the fixed cost of a step, and fresh examples of the same seed.
    """
    config, quantities = run.config, run.quantities
    if run.parent is not None:
        return speed.crowded * (_fixed_seconds(run, speed, stack_share) + _stage_seconds(run, speed))
    costs = _costs(run, speed)
    drawn = stack_share.drawn * _draw_seconds(run, speed)
    if isinstance(config.optim, LeastSquares):
        trained = 4 * quantities.D * config.model.width**2 * costs.flop * QR_SLOWDOWN
    else:
        steps = quantities.steps - (run.fork.step if run.fork else 0)
        together = VMAPPED if speed.kind == "cpu" and has_custom_module(run) else speed.together
        each = _step_seconds(step_work(config, batch=quantities.batch), costs, together, stack_share)
        trained = steps * (each + _augmented(run, speed))
    members = stack_share.members
    evaluated = len(quantities.milestones) * _evaluation_seconds(run, speed, layers=None, members=members)
    compiling = COMPILE_SECONDS[speed.kind] if config.train.engine == "compile" else 0.0
    # Examples are drawn while a GPU trains; on a CPU drawing competes for its cores.
    training = max(drawn, trained) if speed.kind == "cuda" else drawn + trained
    return speed.crowded * (_fixed_seconds(run, speed, stack_share) + compiling + training + evaluated)


def _fixed_seconds(run: PlannedRun, speed: Speed, stack_share: StackShare) -> float:
    """Return the seconds of a run besides its steps and the examples that it evaluates: files, model, milestones."""
    begins = run.fork.step if run.fork else 0
    by_steps = run.config.stage.trains and not isinstance(run.config.optim, LeastSquares)
    points = sum(step > begins for step in curve_steps(run)) if by_steps else 0
    further = len(run.quantities.milestones) - 1
    alone = speed.run + further * speed.milestone + points * speed.curve
    return alone * (speed.together.run if stack_share.runs > 1 else 1)


def _draw_seconds(run: PlannedRun, speed: Speed) -> float:
    """Return the seconds of drawing a run's fresh examples, 0 for other data."""
    data, quantities = run.config.data, run.quantities
    if not quantities.fresh or data.name not in speed.draw:
        return 0.0
    own = quantities.D - (quantities.at(run.fork.step).D if run.fork else 0)
    each = speed.draw[data.name]  # at the default settings, which a user's class of this name may not have
    if is_shipped(type(data)):
        each *= data.draw_work / type(data)().draw_work
    return max(own, TRAIN_EXAMPLES) * each


def _step_seconds(step: Work, costs: Costs, together: StackCosts, stack_share: StackShare) -> float:
    """Return the seconds of a step, for a stack the share of one member."""
    if stack_share.runs <= 1:
        return step.seconds(costs)
    fixed = step.fixed(costs)
    shared = together.fixed(stack_share.stacks) * fixed / stack_share.runs
    return shared + together.member + together.sized * (step.seconds(costs) - fixed)


def _augmented(run: PlannedRun, speed: Speed) -> float:
    """Return the seconds of augmenting a batch, at the size of the network's images."""
    if run.config.augment.name == "none":
        return 0.0
    return run.quantities.batch * prod(run.input_shape) * speed.augment


def _costs(run: PlannedRun, speed: Speed) -> Costs:
    return speed.of(device_precision(run.config, has_tf32=speed.kind == "cuda"))


def _evaluated(run: PlannedRun) -> int:
    """Return how many examples are evaluated at a milestone."""
    data = run.config.data
    return data.n_test + data.n_validation + min(TRAIN_EXAMPLES, run.quantities.D_unique)


def _stage_seconds(run: PlannedRun, speed: Speed) -> float:
    """Return the seconds of a stage, without cached features."""
    config, quantities, stage, costs = run.config, run.quantities, run.config.stage, _costs(run, speed)
    network = config.model.layers(run.input_shape, config.data.outputs)
    if not stage.fits:
        rows = config.data.n_test * getattr(stage, "crops", 1)
        return _forward_seconds(run, speed, rows=rows, layers=network)
    steps = quantities.steps if stage.trains else 0
    if not stage.featured:
        step = step_work(config, batch=quantities.batch, layers=network).seconds(costs) + _augmented(run, speed)
        return steps * step + len(quantities.milestones) * _evaluation_seconds(run, speed, layers=network)
    read = quantities.D_unique if stage.trains else quantities.D  # a closed-form fit reads each example once
    rows = config.data.n_test + config.data.n_validation + read
    features = _forward_seconds(run, speed, rows=rows, layers=network)
    head = step_work(config, batch=quantities.batch, layers=[layer for layer in network if layer.role == "head"])
    return features + steps * replace(head, input=0).seconds(costs)


def _evaluation_seconds(
    run: PlannedRun, speed: Speed, *, layers: Sequence[Layer] | None, members: float = 1.0
) -> float:
    """Return the seconds of an evaluation at a milestone, for a stack the share of one member."""
    rows, score = _evaluated(run), SCORED_TOGETHER if members > 1 else SCORED
    scored = score * rows * run.config.data.outputs * _costs(run, speed).activation
    return _forward_seconds(run, speed, rows=rows, layers=layers, members=members) + scored


def _forward_seconds(
    run: PlannedRun, speed: Speed, *, rows: int, layers: Sequence[Layer] | None, members: float = 1.0
) -> float:
    """Return the seconds of a forward pass of `rows` examples, in the batches of an evaluation.

    members: of its stack, which share what does not depend on sizes.
    """
    each, costs = step_work(run.config, batch=rows, layers=layers), _costs(run, speed)
    passes = -(-rows // EVALUATED_ROWS[speed.kind]) / members
    return FORWARD_SHARE * (each.passed(costs) + each.input * costs.input + passes * each.fixed(costs))
