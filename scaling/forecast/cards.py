"""Speeds of a few devices, for plans on other machines, and for runs on this one before it is probed.

That of an H200 is the speed probe of one (16 CPU cores beside it, torch 2.11). Those of an H100 are fitted to what
docs/speed.md says was measured on one (SXM, 80 GB, torch 2.11): steps of small models replayed from a graph, and steps
of S-6 and B-6/Wi-1024 on batches of 16,384 images. The others are scaled from it by the makers' data sheets: FLOPs by
the rate of dense tensor products, what is read and written by the memory's bandwidth; the fixed costs of a step and of
a layer are those of the H100.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from scaling.errors import UserError, suggestion
from scaling.forecast.speed import USUAL_TOGETHER, Costs, Speed

GB = 10**9
DRAWN = {"teacher": 1.03e-7, "mnist1d": 3.9e-7, "linear_teacher": 7.9e-7}  # by the 16 cores beside an H200
H100 = Speed(
    device="measured speed of an NVIDIA H100",
    kind="cuda",
    threads=1,
    torch="2.11",
    costs={
        "fp32": Costs(step=3.1e-5, layer=1.43e-5, flop=2e-14, weight=4.9e-11, activation=1.7e-11, input=5.5e-12),
        "tf32": Costs(step=3.1e-5, layer=1.43e-5, flop=2.05e-15, weight=4.9e-11, activation=1.7e-11, input=5.5e-12),
        "bf16": Costs(step=5.0e-5, layer=1.78e-5, flop=1.07e-15, weight=6.4e-11, activation=2.1e-12, input=2.5e-11),
    },
    draw=DRAWN,
    run=0.02,
    error=0.04,
    probed_at="",
    products={"tf32": 390e12, "bf16": 745e12},
    augment=2.1e-11,
    memory=80 * GB,
    together=USUAL_TOGETHER["cuda"],
)


H200 = Speed(
    device="measured speed of an NVIDIA H200",
    kind="cuda",
    threads=1,
    torch="2.11",
    costs={
        "fp32": Costs(step=6.8e-6, layer=2.52e-5, flop=1.61e-14, weight=3.73e-11, activation=2.1e-11, input=4.2e-12),
        "tf32": Costs(step=3.19e-5, layer=1.59e-5, flop=1.95e-15, weight=2.69e-11, activation=9.1e-12, input=9.2e-12),
        "bf16": Costs(step=3.36e-5, layer=2.06e-5, flop=1.02e-15, weight=3.31e-11, activation=8e-13, input=1.18e-11),
    },
    draw=DRAWN,
    run=0.017,
    error=0.14,
    probed_at="",
    products={"fp32": 51e12, "tf32": 409e12, "bf16": 782e12},
    augment=3.3e-11,
    memory=141 * GB,
    together=USUAL_TOGETHER["cuda"],
)


@dataclass(frozen=True)
class Sheet:
    """A maker's data sheet: dense tensor products in TFLOP/s by precision, memory in TB/s and GB."""

    name: str
    tflops: Mapping[str, float]
    bandwidth: float
    memory: int


OWN = Sheet("NVIDIA H100 SXM", {"fp32": 67, "tf32": 495, "bf16": 989}, 3.35, 80)
SHEETS = {
    "a100": Sheet("NVIDIA A100 SXM 80 GB", {"fp32": 19.5, "tf32": 156, "bf16": 312}, 2.04, 80),
    "a5000": Sheet("NVIDIA RTX A5000", {"fp32": 27.8, "tf32": 27.8, "bf16": 55.6}, 0.768, 24),
}
MEASURED = {"h100": H100, "h200": H200}
CARDS = (*MEASURED, *SHEETS)
EPYC = Speed(
    device="measured speed of an AMD EPYC",
    kind="cpu",
    threads=1,
    torch="2.13",
    costs={"fp32": Costs(step=1e-4, layer=3.8e-5, flop=1.26e-11, weight=0.0, activation=1.02e-9, input=1.6e-9)},
    draw={"teacher": 4.2e-7, "mnist1d": 2.4e-6, "linear_teacher": 4.9e-6},
    run=0.01,
    error=0.12,
    probed_at="",
    products={"fp32": 87e9},
    augment=5.6e-9,
    together=USUAL_TOGETHER["cpu"],
    milestone=2.5e-3,
    curve=1.2e-3,
)
USUAL = {"cpu": EPYC, "cuda": H100}  # for each kind of device, where only the relative work of runs is needed


def speed_of_card(name: str) -> Speed:
    """Return the speed of a GPU; UserError if it is not in the table."""
    if name in MEASURED:
        return MEASURED[name]
    if name not in SHEETS:
        raise UserError(f"found --device {name}; wanted one of {', '.join(CARDS)}; {suggestion(name, CARDS)}")
    sheet = SHEETS[name]
    slower = OWN.bandwidth / sheet.bandwidth
    return replace(
        H100,
        device=f"an {sheet.name} by its data sheet beside that of an H100",
        costs={
            precision: _scaled(costs, OWN.tflops[precision] / sheet.tflops[precision], slower)
            for precision, costs in H100.costs.items()
        },
        products={},
        augment=H100.augment * slower,
        memory=sheet.memory * GB,
    )


def _scaled(costs: Costs, products: float, bandwidth: float) -> Costs:
    return replace(
        costs,
        flop=costs.flop * products,
        weight=costs.weight * bandwidth,
        activation=costs.activation * bandwidth,
        input=costs.input * bandwidth,
    )
