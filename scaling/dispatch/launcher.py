"""The interface of a launcher.

A new launcher is one folder here, with its settings and its `Launcher`, and one YAML in conf/launcher that names the
settings in `_target_`. No other code depends on which launcher it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from scaling.dispatch.dispatches import Dispatch, DispatchFolder
from scaling.dispatch.launchers import LAUNCHERS
from scaling.dispatch.order import Order
from scaling.dispatch.states.outcome import Outcome
from scaling.errors import UserError
from scaling.folders import SweepFolder
from scaling.security.reading import known_fields
from scaling.security.trust import check_trusted

if TYPE_CHECKING:
    from scaling.config import RunConfig
    from scaling.dispatch.show import View
    from scaling.forecast.speed import Speed


class Settings(Protocol):
    """The keys of a launcher, as its YAML sets them: a frozen dataclass.

    implementation: module:class of its Launcher; threads: of torch in each worker; retries: of a run that crashed.
    """

    name: ClassVar[str]
    implementation: ClassVar[str]

    @property
    def threads(self) -> int: ...  # noqa: D102

    @property
    def retries(self) -> int: ...  # noqa: D102


@dataclass(frozen=True)
class Capacity:
    """How many workers train at a time, and on which device.

    speed_name: name of the probed speed, None for this machine's own; gpus: number of GPUs that workers can share, if
    more workers are started where that is faster; else 0.
    """

    workers: int
    speed_name: str | None = None
    gpus: int = 0


@dataclass(frozen=True)
class Sheet:
    """A file that would be given to a scheduler: a title for people, and the text."""

    title: str
    text: str


@dataclass(frozen=True)
class Dispatched:
    """The result of an order, also for JSON (facts) and in sentences (lines).

    outcome: None if jobs were queued, which continue by themselves; found: number of runs that were settled before;
    held: why some runs are not started, or ''.
    """

    outcome: Outcome | None
    facts: Mapping[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    found: int = 0
    held: str = ""


class Launcher(Protocol):
    """A place where runs are trained.

    Subclasses without a scheduler need only `check`, `capacity`, `submit` and `probe`.
    """

    def __init__(self, settings: Any) -> None: ...

    def check(self, configs: Collection[RunConfig]) -> None:
        """Check that everything these configs need is available; UserError says what is missing."""

    def prepare(self) -> None:
        """Begin what takes seconds and does not depend on the runs, in parallel with their planning; here nothing."""

    def capacity(self, devices: Collection[str], runs: int) -> Capacity:
        """Return the capacity for a number of runs on the named devices."""

    def submit(self, order: Order, view: View) -> Dispatched:
        """Train the runs, or queue jobs that train them."""

    def rehearse(self, order: Order) -> list[Sheet]:
        """Return what `submit` would give to a scheduler, without submitting or writing anything; here nothing."""
        return []

    def job_states(self, dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> Mapping[str, str] | None:
        """Return the states of the dispatches' unfinished jobs by id, None if the scheduler does not answer."""
        return {}

    def trouble(self, dispatches: Sequence[tuple[DispatchFolder, Dispatch]]) -> list[str]:
        """Return sentences on what keeps jobs of these dispatches from training, as far as known."""
        return []

    def cancel(self, files: DispatchFolder, dispatch: Dispatch) -> list[str]:
        """End the jobs of a dispatch, and return those that were ended; UserError if the scheduler does not answer."""
        return []

    def probe(self, folder: SweepFolder, device: str) -> Speed:
        """Measure the speed of the device that runs will use, and save it for forecasts."""

    def describe(self) -> list[str]:
        """Return lines about this launcher on this machine; [] if there is nothing to add to its name."""
        return []


def launcher_of(settings: Settings) -> Launcher:
    """Return the launcher for these settings; UserError if its class lacks a method of `Launcher`."""
    module, _, name = settings.implementation.partition(":")
    kind: type[Launcher] = getattr(import_module(module), name)
    methods = [method for method in vars(Launcher) if not method.startswith("_")]
    if lacking := [method for method in methods if not hasattr(kind, method)]:
        raise UserError(
            f"found the launcher {settings.implementation} without {lacking[0]}; wanted {', '.join(methods)}; add it"
        )
    return kind(settings)


def launcher_of_dispatch(dispatch: Dispatch) -> Launcher:
    """Return the launcher of an earlier dispatch."""
    kind = settings_class(dispatch)
    return launcher_of(kind(**known_fields(kind, dispatch.launcher)))


def settings_class(dispatch: Dispatch) -> Any:
    """Return the class of a dispatch's settings; in version 0.1.0 a dispatch has only the launcher's name."""
    if not dispatch.target:
        return LAUNCHERS[dispatch.kind]
    module, _, name = dispatch.target.rpartition(".")
    check_trusted(module, named=f"the launcher {dispatch.target!r} of an earlier dispatch")
    return getattr(import_module(module), name)
