"""Choose the number of workers on this machine."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from scaling import devices
from scaling.dispatch.launchers import Local
from scaling.forecast.sharing import processes_that_pay
from scaling.forecast.speed import known_speed


def gpus_for(named: Collection[str]) -> tuple[str, ...]:
    """Return the GPUs to divide among workers that train on the named devices, as CUDA_VISIBLE_DEVICES names them.

    If a device is named by its number, all GPUs count as one, since workers must see them all.
    """
    found = devices.gpus() if set(named) - {"cpu"} else ()
    return (",".join(found),) if found and any(":" in name for name in named) else found


def workers_for(settings: Local, *, gpus: int, most: int | None = None, per_gpu: int = 1) -> int:
    """Return how many workers to start: as configured, or `per_gpu` for each GPU, or one for each `threads` cores.

    most: upper limit.
    """
    natural = gpus * per_gpu or max(1, devices.cores() // settings.threads)
    wanted = settings.workers or natural
    return wanted if most is None else max(1, min(wanted, most))


def workers_per_gpu(
    threads: int, *, work: Iterable[tuple[float, float | None]], memory: Iterable[float], stacked: bool
) -> int:
    """Return the best number of workers on a GPU by the probe's measurements; 1 for stacks.

    work: FLOPs and forecast seconds of each run; memory: forecast bytes of each.
    """
    speed = None if stacked else known_speed("cuda", threads)
    if speed is None:
        return 1
    products = max(speed.products.values(), default=0.0)
    return processes_that_pay(speed.sharing, products=products, card=speed.memory, work=work, memory=memory)
