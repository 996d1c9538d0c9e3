"""The speed probe: time the training loop on a few shapes to measure a device's speed, in about half a minute."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from statistics import median
from time import perf_counter
from typing import Any

import torch

from scaling.augment.standard import Standard
from scaling.data.linear_teacher import LinearTeacher
from scaling.data.mnist1d import Mnist1d
from scaling.data.teacher import Teacher
from scaling.devices import cores, torch_version
from scaling.errors import UserError
from scaling.forecast.fits import TimedStack, enough_numbers, fit_convolutions, fit_costs, fit_together
from scaling.forecast.fixed import few_examples, member_seconds, point_seconds, run_seconds
from scaling.forecast.sharing import FIRST, SharingProcesses
from scaling.forecast.speed import USUAL_TOGETHER, Costs, Speed, StackCosts
from scaling.forecast.stacks import NUMBERS
from scaling.forecast.timing.clock import clock_of, typical
from scaling.forecast.timing.drawing import draw_seconds
from scaling.forecast.timing.shapes import (
    BESIDE,
    CONVOLUTIONS,
    CROWDED,
    GROWN_STACKS,
    LARGE,
    LARGE_STACKS,
    MANY_STEPS,
    SHAPES,
    STACKS,
    Shape,
    planned_shape,
)
from scaling.forecast.together import beside_share, step_seconds
from scaling.global_streams import kept_streams
from scaling.plan.planned import PlannedRun
from scaling.train.device import find_device, hardware_name, torch_threads
from scaling.train.feed.run_data import load_run_data
from scaling.train.loop import Trainer
from scaling.train.precision import computed_precision, matmul_precision

SLICE_SECONDS = 0.05  # of steps timed at a time
SLICES = {"cpu": 4, "cuda": 2}
TURNS, LIMIT_SECONDS = 3, 8.0  # most repetitions and seconds for the shapes of a precision
MOST_ERROR = 0.4  # largest relative error on three in four shapes for which a fit is accepted
SQUARE, PRODUCT_SECONDS = {"cpu": 1_024, "cuda": 8_192}, 0.5
MOST_OTHERS = 7  # processes that train while a CPU's steps are timed once more
SLOW = 0.2  # of the float32 rate: precisions with slower products are not timed, because that would take long
AUGMENTED = {"cpu": 64, "cuda": 4_096}  # images: on a GPU enough to make launching negligible
DEFAULT_PRECISION = {"cpu": "fp32", "cuda": "tf32"}  # in which convolutions and stacks are timed
PRECISIONS = {"cpu": ("fp32", "bf16"), "cuda": ("fp32", "tf32", "bf16")}

log = logging.getLogger(__name__)


NO_COSTS = Costs(*[0.0] * len(fields(Costs)))
STREAMS = (Teacher(), Mnist1d(), LinearTeacher())


@kept_streams()
def probe_speed(device: str = "auto", *, threads: int = 1) -> Speed:
    """Time a device with `threads` torch threads and return its speed; UserError for an unknown device.

    UserError as well if no costs fit the times of float32 steps, because other processes were running. Another
    precision for which no costs fit is left out.
    """
    where = find_device(device)
    shapes = (*SHAPES, *LARGE) if where.type == "cuda" else SHAPES
    with torch_threads(threads), SharingProcesses(str(where)) as processes:
        if where.type == "cuda":
            processes.start(FIRST)
        products = {precision: _product_rate(where, precision) for precision in PRECISIONS[where.type]}
        fast = [precision for precision in products if products[precision] > SLOW * products["fp32"]]
        fits = {precision: _fitted(shapes, precision, where, products[precision]) for precision in fast}
        _check(fits)
        costs = _costs(fits, products, where)
        log.info("timing a run's fixed cost, fresh examples and augmentation")
        milestone, curve = point_seconds(where)
        step = _step_seconds(few_examples("eager", steps=MANY_STEPS), where)
        alone = run_seconds(where, step=step, curve=curve)
        draw = {data.name: draw_seconds(data, where) for data in STREAMS}
        augment = _augment_seconds(where)
        sharing, crowded = _sharing(processes, where), _crowded(processes, where, threads)
        together, numbers = _together(where, costs.get(DEFAULT_PRECISION[where.type], costs["fp32"]))
        together = replace(together, run=min(1.0, member_seconds(where, step=step) / alone) if alone else 1.0)
    return Speed(
        device=hardware_name(where),
        kind=where.type,
        threads=threads,
        torch=torch_version(),
        costs=costs,
        draw=draw,
        run=alone,
        milestone=milestone,
        curve=curve,
        crowded=crowded,
        error=fits["fp32"][1],
        probed_at=datetime.now(UTC).isoformat(timespec="seconds"),
        products=products,
        augment=augment,
        sharing=sharing,
        together=together,
        numbers=numbers,
        memory=torch.cuda.get_device_properties(where).total_memory if where.type == "cuda" else 0,
    )


def _check(fits: Mapping[str, tuple[Costs, float]]) -> None:
    """Raise UserError if no costs fit the float32 times; log which other precisions are left out."""
    for precision, (_, error) in fits.items():
        if error > MOST_ERROR and precision == "fp32":
            raise UserError(
                f"found step times that scatter by {error:.0%} about a cost for each FLOP and each layer (other "
                f"processes are at work); wanted at most {MOST_ERROR:.0%}; probe again when less else runs here"
            )
        if error > MOST_ERROR:
            log.warning("the times of %s are explained only within %.0f %%: left out", precision, 100 * error)


def _costs(
    fits: Mapping[str, tuple[Costs, float]], products: Mapping[str, float], where: torch.device
) -> dict[str, Costs]:
    """Return the costs of each precision, including those of convolutions, which are timed in one precision only.

    A precision with slow products is assumed to have the costs of fp32 except for products.
    """
    log.info("timing convolutions")
    sound = {precision: costs for precision, (costs, error) in fits.items() if error <= MOST_ERROR}
    timed = DEFAULT_PRECISION[where.type] if DEFAULT_PRECISION[where.type] in sound else "fp32"
    times = [_step_seconds(planned_shape(shape, timed), where) for shape in CONVOLUTIONS]
    known = fit_convolutions(CONVOLUTIONS, times, sound[timed])
    found = {
        precision: replace(costs, convolution=known.convolution, map=known.map) for precision, costs in sound.items()
    }
    slow = {precision: replace(found["fp32"], flop=1 / products[precision]) for precision in products.keys() - fits}
    return found | slow


def _fitted(shapes: Sequence[Shape], precision: Any, where: torch.device, products: float) -> tuple[Costs, float]:
    """Time the shapes, repeatedly if other processes disturb the times, and fit costs; return them and their error."""
    seconds, until = [float("inf")] * len(shapes), perf_counter() + LIMIT_SECONDS
    costs, error = NO_COSTS, float("inf")
    for turn in range(TURNS):
        log.info("timing %s: %d shapes%s", precision, len(shapes), ", once more" if turn else "")
        timed = (_step_seconds(planned_shape(shape, precision), where) for shape in shapes)
        seconds = [min(before, now) for before, now in zip(seconds, timed, strict=True)]
        costs, error = fit_costs(shapes, seconds, products=products)
        if error <= MOST_ERROR / 2 or perf_counter() > until:
            break
    return costs, error


def _product_rate(where: torch.device, precision: str) -> float:
    """Return the FLOP/s of large square matrix products, the best of several."""
    n = SQUARE[where.type]
    kind = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(n, n, device=where).to(kind) for _ in range(2))
    best, clock, until = 0.0, clock_of(where), perf_counter() + PRODUCT_SECONDS
    with matmul_precision(precision):
        (a @ b)[0, 0].item()
        while best == 0.0 or perf_counter() < until:
            started = clock()
            (a @ b)[0, 0].item()
            best = max(best, 2 * n**3 / (clock() - started or 1e-9))
    return best


def _sharing(processes: SharingProcesses, where: torch.device) -> dict[str, float]:
    """Return the gain of several processes on a GPU; {} on a CPU, whose workers have a core each."""
    if where.type == "cpu":
        return {}
    log.info("timing processes that share the GPU")
    try:
        return processes.gains()
    except (OSError, ValueError, ZeroDivisionError) as error:
        log.warning("processes that share the GPU could not be timed (%s): each GPU gets one", error)
        return {}


def _crowded(processes: SharingProcesses, where: torch.device, threads: int) -> float:
    """Return how much longer steps take on a CPU while its other cores train, as they do in a sweep; 1 on a GPU."""
    others = min(cores() - threads, MOST_OTHERS)
    if where.type != "cpu" or others < 1:
        return 1.0
    log.info("timing steps while other cores train as well")
    processes.start(others)
    try:
        processes.wait()
        ratios = list[float]()
        for run in (planned_shape(shape, "fp32") for shape in CROWDED):
            alone = _step_seconds(run, where)
            with processes.training():
                ratios.append(_step_seconds(run, where) / alone)
    except (OSError, ValueError) as error:
        log.warning("steps beside those of other cores could not be timed (%s): they count as no longer", error)
        return 1.0
    return max(1.0, median(ratios))


def _together(where: torch.device, costs: Costs) -> tuple[StackCosts, int]:
    """Time stacks; return their costs, and the size of a step, in numbers, beyond which more members gain nothing.

    costs: of single runs. If no costs fit the times, return those measured on another device.
    """
    log.info("timing runs that are trained together")
    small, others = [
        _timed(shapes, where) for shapes in (STACKS, LARGE_STACKS if where.type == "cuda" else GROWN_STACKS)
    ]
    numbers = enough_numbers([*small, *others], least=NUMBERS[where.type])
    together, error = fit_together([*small, *others] if where.type == "cuda" else small, costs)
    if error > MOST_ERROR:
        log.warning("times of runs that are trained together are explained only within %.0f %%: left out", 100 * error)
        return USUAL_TOGETHER[where.type], numbers
    if where.type == "cuda":
        shape, members = BESIDE
        run = planned_shape(shape, DEFAULT_PRECISION["cuda"])
        together = replace(together, beside=beside_share(run, members, where))
    return together, numbers


def _timed(stacks: Sequence[tuple[Shape, int]], where: torch.device) -> list[TimedStack]:
    runs = [(planned_shape(shape, DEFAULT_PRECISION[where.type]), members) for shape, members in stacks]
    return [TimedStack(run, members, step_seconds(run, members, where)) for run, members in runs]


def _augment_seconds(where: torch.device) -> float:
    """Return the seconds of augmentation for one number of an image."""
    shape, generator = (AUGMENTED[where.type], 3, 64, 64), torch.Generator(where).manual_seed(0)
    augment = Standard().build(shape[1:], 10)
    x, y = torch.randn(shape, device=where), torch.zeros(shape[0], dtype=torch.int64, device=where)
    took, clock = [], clock_of(where)
    for _ in range(5):
        started = clock()
        augment(x, y, generator)[0][0, 0, 0, 0].item()
        took.append(clock() - started)
    return typical(took, where) / x.numel()


def _step_seconds(run: PlannedRun, where: torch.device) -> float:
    """Return the seconds of one step of the training loop, timed in slices."""
    trainer = _trainer(run, where)
    with matmul_precision(computed_precision(run.config, where)):
        _advance(trainer, 2)
        each = _advance(trainer, 3) / 3
        count = max(1, round(SLICE_SECONDS / each))
        slices = SLICES[where.type] if each < SLICE_SECONDS else 2
        return typical([_advance(trainer, count) for _ in range(slices)], where) / count


def small_trainer(shape: Shape, where: torch.device) -> Trainer:
    """Return a trainer of a shape on a device."""
    return _trainer(planned_shape(shape, "auto"), where)


def _trainer(run: PlannedRun, where: torch.device) -> Trainer:
    return Trainer(run, load_run_data(run.config, run.quantities, where).batches(run.quantities.batch), where)


def _advance(trainer: Trainer, count: int) -> float:
    """Return the seconds of `count` steps; `advance` ends by waiting for the device."""
    clock = clock_of(trainer.device)
    started = clock()
    trainer.advance(trainer.step + count, lambda: True)
    return clock() - started
