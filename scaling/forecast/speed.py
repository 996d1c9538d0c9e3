"""The speed of a device as measured by the speed probe, stored in the user's cache folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

from scaling.devices import device_name, torch_version
from scaling.folders import cache_folder, write_atomically

FORMAT = 5  # raised when the meaning of a cost changes: older probes are then no longer read


@dataclass(frozen=True)
class Costs:
    """Seconds of one training step, for each unit of what it does (see `scaling.forecast.work`).

    step: the step itself; layer: each layer or norm; flop: each FLOP as executed; weight: each updated parameter;
    activation: each output of a layer; input: each number of the gathered examples; convolution, map: additional cost
    of each convolution, and of each of its outputs.
    """

    step: float
    layer: float
    flop: float
    weight: float
    activation: float
    input: float
    convolution: float = 0.0
    map: float = 0.0


@dataclass(frozen=True)
class StackCosts:
    """The costs of a step of runs that are trained together.

    step: the fixed cost relative to that of a single run's step; member: additional seconds for each run; sized: the
    cost that grows with the model and the batch, relative to that of single runs; beside: what another stack in
    parallel adds to the fixed cost of a step, relative to the fixed cost of a stack alone (1: nothing is gained); run:
    the fixed seconds of a member relative to those of a single run.
    """

    step: float
    member: float
    sized: float
    beside: float = 1.0
    run: float = 0.6

    def fixed(self, stacks: float) -> float:
        """Return the fixed cost of a step of each of several `stacks` in parallel, relative to that of a single run."""
        return self.step * (1 + (stacks - 1) * self.beside)


USUAL_TOGETHER = {  # measured: two cores of an AMD EPYC, widths 8 to 192; one H200, widths 8 to 256 (docs/speed.md)
    "cpu": StackCosts(step=0.9, member=1e-5, sized=1.1),
    "cuda": StackCosts(step=1.13, member=6.5e-7, sized=0.9, beside=0.35),
}
# Of users' modules, on a CPU: measured with a module of dense layers (widths 24 and 96, depths 2 and 6) and one of
# convolutions, in stacks of 2 and 8. On a GPU a graph spares what vmap costs on the host.
VMAPPED = StackCosts(step=3.0, member=0.0, sized=2.3)


@dataclass(frozen=True)
class Speed:
    """The measurements of the speed probe on one device.

    costs: by precision; draw: seconds for drawing a fresh example, by data set, on a GPU by all threads together; run:
    seconds of a run besides its steps and the examples that it evaluates, with one milestone; error: 0.75 quantile of
    the relative errors of the fitted costs; products: FLOP/s of large products, by precision; augment: seconds for each
    number of an augmented image; memory: bytes of a GPU, 0 if unknown; sharing: steps per second of several processes
    on a GPU relative to one process, by their number; together: costs of stacks; numbers: size of a stack's step, in
    numbers processed, beyond which more members gain nothing, 0 if unknown; milestone, curve: seconds besides its
    examples of each further milestone and of each point of the learning curve, 0 if unknown; crowded: seconds of a step
    on a CPU whose other cores train as well, as in a sweep, relative to one beside idle cores.
    """

    device: str
    kind: str
    threads: int
    torch: str
    costs: Mapping[str, Costs]
    draw: Mapping[str, float]
    run: float
    error: float
    probed_at: str
    products: Mapping[str, float] = field(default_factory=dict)
    augment: float = 0.0
    memory: int = 0
    sharing: Mapping[str, float] = field(default_factory=dict)
    together: StackCosts = USUAL_TOGETHER["cpu"]
    numbers: int = 0
    milestone: float = 0.0
    curve: float = 0.0
    crowded: float = 1.0

    def of(self, precision: str) -> Costs:
        """Return the costs in a precision, those of fp32 if it was not measured."""
        return self.costs.get(precision) or self.costs["fp32"]

    def to_json(self) -> str:
        """Return the speed as JSON."""
        return json.dumps({"format": FORMAT, **asdict(self)}, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Speed:
        """Read the JSON of `to_json`; ValueError for anything else."""
        raw = json.loads(text)
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError("not a probe of this version")
        try:
            values = {f.name: raw[f.name] for f in fields(cls) if f.name in raw}  # older probes have fewer
            values["costs"] = {name: Costs(**costs) for name, costs in raw["costs"].items()}
            return cls(**{**values, "together": StackCosts(**raw["together"])})
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a whole probe: {error}") from error


def speed_path(kind: str, threads: int, *, partition: str | None = None) -> Path:
    """Return the file for a speed, whose name depends on the device, threads and the version of torch.

    kind: cpu or cuda; partition: of a cluster, for its nodes instead of this machine.
    """
    if partition is not None:
        return cache_folder() / f"speed-slurm-{partition}-{kind}-{threads}t.json"
    name = f"{device_name(kind)}/{torch_version()}"
    return cache_folder() / f"speed-{kind}-{threads}t-{hashlib.sha256(name.encode()).hexdigest()[:8]}.json"


def known_speed(kind: str, threads: int, *, partition: str | None = None) -> Speed | None:
    """Return the speed of this machine, or of a cluster's partition; None if it was never probed."""
    try:
        return Speed.from_json(speed_path(kind, threads, partition=partition).read_text())
    except (OSError, ValueError):
        return None


def keep_speed(speed: Speed, *, partition: str | None = None) -> Path:
    """Write a speed to the cache, and return its file."""
    path = speed_path(speed.kind, speed.threads, partition=partition)
    write_atomically(path, speed.to_json() + "\n")
    return path
