"""The cost of inference on a device: latency of one example, throughput at the best batch, memory, FLOPs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from torch import nn

from scaling.config import RunConfig
from scaling.global_streams import kept_streams
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import count_model
from scaling.train.device import find_device, hardware_name, torch_threads
from scaling.train.errors import is_out_of_memory
from scaling.train.precision import autocast, computed_precision, matmul_precision

BATCHES = tuple(4**k for k in range(9))  # 1 … 65,536
MOST_ON_CPU = 4_096  # largest batch: larger ones do not fit into the cache
TIMED_SECONDS = 0.08  # of calls timed at each batch
LEAST_CALLS = 5
BETTER = 1.02  # least gain in throughput for which a batch four times as large is chosen


@dataclass(frozen=True)
class Efficiency:
    """The inference cost of one model on one device, in evaluation mode; its fields are the columns of efficiency.csv.

    forward_flops: of one example; latency_ms: median for one example; throughput: examples/s at `best_batch`;
    memory_bytes: at that batch, on a GPU its peak (`memory_from` = measured), on a CPU the weights and the largest sum
    of a layer's inputs and outputs (counted).
    """

    family: str
    width: int | None
    depth: int | None
    data: str
    N: int
    N_total: int
    forward_flops: int
    latency_ms: float
    throughput: float
    best_batch: int
    memory_bytes: int
    memory_from: str
    device: str
    threads: int
    precision: str


def measure(
    runs: Iterable[PlannedRun],
    *,
    device: str = "auto",
    threads: int = 1,
    say: Callable[[Efficiency], None] | None = None,
) -> list[Efficiency]:
    """Time each distinct model of a plan; UserError for an unknown device.

    say: called with each result.
    """
    where, found, seen = find_device(device), [], set()
    with torch_threads(threads):
        for run in runs:
            config = run.config
            key = (config.model, config.data.shape, config.data.outputs, computed_precision(config, where))
            if key in seen:
                continue
            seen.add(key)
            with matmul_precision(computed_precision(config, where)):
                found.append(measure_model(config, where))
            if say is not None:
                say(found[-1])
    return found


@kept_streams()
def measure_model(config: RunConfig, where: torch.device) -> Efficiency:
    """Time one model with random weights on random examples."""
    generator = torch.Generator().manual_seed(0)
    module = config.model.build(config.data.shape, config.data.outputs, generator).to(where)
    module.eval()
    counts, precision = count_model(config).in_batches(1), computed_precision(config, where)
    forward = _forward(module, config, where)
    throughput, best = 0.0, 1
    for batch in BATCHES:
        if where.type == "cpu" and batch > MOST_ON_CPU:
            break
        try:
            rate = batch / _seconds(forward, torch.randn(batch, *config.data.shape, device=where))
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            break
        if rate > throughput * BETTER:
            throughput, best = rate, batch
    memory, origin = _memory(module, forward, torch.randn(best, *config.data.shape, device=where))
    return Efficiency(
        family=config.model.family,
        width=getattr(config.model, "width", None),
        depth=getattr(config.model, "depth", None),
        data=config.data.name,
        N=counts.N,
        N_total=counts.N_total,
        forward_flops=counts.forward_flops,
        latency_ms=1e3 * _seconds(forward, torch.randn(1, *config.data.shape, device=where)),
        throughput=throughput,
        best_batch=best,
        memory_bytes=memory,
        memory_from=origin,
        device=hardware_name(where),
        threads=torch.get_num_threads(),
        precision=precision,
    )


def _forward(module: nn.Module, config: RunConfig, where: torch.device) -> Callable[[torch.Tensor], None]:
    def forward(x: torch.Tensor) -> None:
        with torch.inference_mode(), autocast(config, where):
            module(x)
        if where.type == "cuda":
            torch.cuda.synchronize(where)

    return forward


def _seconds(forward: Callable[[torch.Tensor], None], x: torch.Tensor) -> float:
    """Return the median seconds of a call, after two warm-up calls."""
    for _ in range(2):
        forward(x)
    took: list[float] = []
    while len(took) < LEAST_CALLS or sum(took) < TIMED_SECONDS:
        started = perf_counter()
        forward(x)
        took.append(perf_counter() - started)
    return median(took)


def _memory(module: nn.Module, forward: Callable[[torch.Tensor], None], x: torch.Tensor) -> tuple[int, str]:
    if x.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(x.device)
        forward(x)
        return int(torch.cuda.max_memory_allocated(x.device)), "measured"
    largest = 0

    def look(_: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal largest
        largest = max(largest, output.nbytes + sum(tensor.nbytes for tensor in inputs))

    hooks = [layer.register_forward_hook(look) for layer in module.modules() if not list(layer.children())]
    forward(x)
    for hook in hooks:
        hook.remove()
    return largest + sum(parameter.nbytes for parameter in module.parameters()), "counted"
