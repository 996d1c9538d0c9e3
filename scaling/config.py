"""The schema of one run: the keys of its config, checked when it is read.

The dataclasses are the schema. A group whose members differ (model, data, optim, schedule, augment) names its class in
`_target_`, as Hydra does, so that a user's own class needs no change here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_type_hints

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    TypeAdapter,
    ValidationError,
)

from scaling.errors import UserError, check_keys, import_words, suggestion
from scaling.security.modules import path_of
from scaling.security.trust import check_trusted

T = TypeVar("T")
GROUPS = ("model", "data", "optim", "schedule", "augment")  # groups whose class the config names
RUN_KEYS = (*GROUPS, "stage", "parent", "train", "seed", "recipe_version")
MEMBERS = {  # what a class of a group must have
    "model": ("family", "layers", "build"),
    "data": ("load",),
    "optim": ("name",),  # least squares is solved and builds nothing
    "schedule": ("name", "factor"),
    "augment": ("name", "build", "check"),
    "launcher": ("name", "implementation", "threads", "retries"),
}
PLAIN = (str, int, float, bool, type(None))
MOST_READ = 4096  # groups in the cache
_read: dict[str, Any] = {}
Mirror = Literal["wandb", "tensorboard", "mlflow"]  # tools that can show runs while they are trained
MIRRORS: tuple[str, ...] = get_args(Mirror)
FROM_SCRATCH = {"_target_": "scaling.stages.train.FromScratch"}  # the stage of a config without one
RECIPE_VERSION = 2  # raised whenever a default changes or the same config would give other weights


def part(default: Any = dataclasses.MISSING, *, identity: bool = True) -> Any:
    """Declare a config key; `identity=False` for one that does not change the weights of the run."""
    return field(default=default, metadata={"identity": identity})


Share = Annotated[float, Field(ge=0, le=1)]
ShareBelowOne = Annotated[float, Field(ge=0, lt=1)]
# YAML reads off and no as false, and yes as true.
Graph = Annotated[Literal["auto", "off"], BeforeValidator(lambda given: "off" if given is False else given)]
Keep = Annotated[
    Literal["none", "last", "milestones"],
    BeforeValidator(lambda given: {False: "none", True: "last"}[given] if isinstance(given, bool) else given),
]


@dataclass(frozen=True)
class Train:
    """How long, in what batches and how a run is trained; exactly one of examples, epochs, steps, budget is given."""

    examples: float | None = part(None, identity=False)
    """Training examples to process, repeats included (D)."""
    epochs: float | None = part(None, identity=False)
    """Passes over the training subset."""
    steps: float | None = part(None, identity=False)
    """Optimiser steps."""
    budget: float | None = part(None, identity=False)
    """Training compute in FLOPs (C, see scaling/accounting.py)."""
    max_epochs: float | None = part(None, identity=False)
    """Upper limit of a run's epochs: a cell of the grid that needs more is dropped."""
    batch: PositiveInt = 128
    """Examples of an optimiser step."""
    micro_batch: PositiveInt | None = part(None, identity=False)
    """Examples that pass through the model at a time, gradients added up: less memory, the same but for rounding."""
    label_smoothing: ShareBelowOne = 0.0
    """Label smoothing of the training loss; the test loss has none."""
    clip: PositiveFloat | None = None
    """Largest norm of the gradient."""
    precision: Literal["auto", "fp32", "tf32", "bf16"] = "auto"
    """auto: tf32 on a GPU, fp32 on a CPU. tf32 rounds the factors of a matrix product to 10 bits on GPUs that can."""
    engine: Literal["eager", "stacked", "compile"] = "eager"
    """stacked: train runs of one shape together (docs/stacks.md); compile: torch.compile, for large models on a GPU."""
    graph: Graph = part("auto", identity=False)
    """auto: capture a step on a GPU once and replay it, which gives the same numbers; off: do not."""
    stack: PositiveInt | None = part(None, identity=False)
    """Most runs that engine=stacked trains together; null: as many as pay."""
    milestones: Any = part(None, identity=False)
    """Where the run is evaluated (see scaling/plan/milestones.py)."""
    device: str = part("auto", identity=False)
    """auto, cpu or cuda."""
    checkpoint_seconds: NonNegativeFloat = part(60.0, identity=False)
    """Most seconds of wall-clock time between two checkpoints."""
    keep: Keep = part("none", identity=False)
    """Milestones whose weights are kept for later stages."""
    filters: bool = part(False, identity=False)
    """Keep the first layer's weights of the finished run beside its record."""


@dataclass(frozen=True)
class Parent:
    """The run that a stage starts from; step: one of its milestones (null: its end)."""

    run_id: str
    step: int | None = None


@dataclass(frozen=True)
class RunConfig:
    """The whole config of one run: its groups, training settings, seed, stage, and the run that it starts from.

    recipe_version: what the same keys train to has changed from one to the next.
    """

    model: Any
    data: Any
    optim: Any
    schedule: Any
    augment: Any
    train: Train
    seed: int
    stage: Any
    parent: Parent | None = None
    recipe_version: int = RECIPE_VERSION


def read_config(raw: Mapping[str, Any]) -> RunConfig:
    """Check a plain config (nested dictionaries) and return it as a RunConfig; UserError names a key that is wrong."""
    check_keys(raw, RUN_KEYS)
    groups = {name: _read_alike(name, raw.get(name)) for name in GROUPS}
    check_frozen("model", groups["model"])
    check_frozen("data", groups["data"])
    train = read_part(Train, raw.get("train") or {}, where="train")
    seed = read_part(int, raw.get("seed", 0), where="seed")
    stage = _read_alike("stage", raw.get("stage") or FROM_SCRATCH)
    given = {key: value for key, value in (raw.get("parent") or {}).items() if value is not None}
    parent = read_part(Parent, given, where="parent") if given else None
    named = raw.get("recipe_version")
    version = RECIPE_VERSION if named is None else read_part(int, named, where="recipe_version")
    if not 1 <= version <= RECIPE_VERSION:
        raise UserError(f"found recipe_version={version}; wanted 1 to {RECIPE_VERSION}; change it, or update scaling")
    return RunConfig(**groups, train=train, seed=seed, stage=stage, parent=parent, recipe_version=version)


def read_stored_config(raw: Mapping[str, Any]) -> RunConfig:
    """Check a config that was stored by `plain`; one without a recipe_version is from before there was a second."""
    return read_config({"recipe_version": 1, **raw})


def _read_alike(name: str, raw: Any) -> Any:
    """Check a group; one with only plain values is checked once, and runs share the object."""
    if not isinstance(raw, Mapping) or not all(isinstance(value, PLAIN) for value in raw.values()):
        return read_group(name, raw)
    key = f"{name} {raw!r}"
    if key not in _read:
        if len(_read) >= MOST_READ:
            _read.clear()
        _read[key] = read_group(name, raw)
    return _read[key]


def read_group(name: str, raw: Any) -> Any:
    """Check a group that names its class in `_target_`."""
    if not isinstance(raw, Mapping) or "_target_" not in raw:
        raise UserError(f"found no _target_ of {name}; choose {name}=NAME, or begin its file: defaults: [NAME, _self_]")
    kind, values = load_class(raw["_target_"]), {key: value for key, value in raw.items() if key != "_target_"}
    needed = ("name", "lr") if name == "optim" and hasattr(kind, "build") else MEMBERS.get(name, ())
    fields = {field.name for field in dataclasses.fields(kind)}
    if lacking := [member for member in needed if not hasattr(kind, member) and member not in fields]:
        raise UserError(f"found {kind.__name__} without {lacking[0]}; wanted {', '.join(needed)} ({name}); add it")
    return read_part(kind, values, where=name)


def check_frozen(name: str, group: Any) -> None:
    """Raise UserError for a group that is mutable, since counts and data are cached by its keys."""
    try:
        hash(group)
    except TypeError:
        kind = type(group)
        loose = [f.name for f in dataclasses.fields(group) if isinstance(getattr(group, f.name), list | dict | set)]
        if not loose:
            raise UserError(
                f"found {path_of(kind)}, which can be changed; wanted a frozen dataclass; "
                f"write @dataclass(frozen=True) above it"
            ) from None
        raise UserError(
            f"found {name}.{loose[0]} of type {type(getattr(group, loose[0])).__name__}; wanted a value that cannot be "
            f"changed; declare it as a tuple in {path_of(kind)}"
        ) from None


@cache
def types_of(part: type) -> dict[str, Any]:
    """Return the type of each key of a part's class."""
    hints = get_type_hints(part)
    return {f.name: hints[f.name] for f in dataclasses.fields(part)}


def load_class(target: str) -> type:
    """Import the class named by a dotted path such as scaling.models.mlp.MLP; UserError if it may not be."""
    check_trusted(target.rpartition(".")[0], named=f"_target_ {target!r}")
    found = _class(target)
    check_trusted(found.__module__, named=f"_target_ {target!r}")
    return found


@cache
def _class(target: str) -> type:
    module, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:
        why = import_words(error)
        raise UserError(f"found _target_ {target!r}, which cannot be imported ({why}); give module.Class") from error
    if not (isinstance(found, type) and dataclasses.is_dataclass(found)):
        raise UserError(f"found _target_ {target!r}, which is not a dataclass; wanted a frozen dataclass")
    return found


def read_part(kind: type[T], raw: Any, *, where: str) -> T:
    """Check one value or one group of values against its type."""
    _refuse_booleans(kind, raw, where)
    try:
        return _adapter(cast("Hashable", kind)).validate_python(raw)
    except ValidationError as error:
        raise UserError(_sentence(error, kind, raw, where)) from None


def _refuse_booleans(kind: Any, raw: Any, where: str) -> None:
    """Raise UserError for true or false instead of a number; YAML also reads yes, on and off as these."""
    if isinstance(raw, bool) and set(get_args(kind) or (kind,)) <= {int, float, type(None)}:
        raise UserError(f"found {where}={str(raw).lower()}; wanted a number; change it")
    if dataclasses.is_dataclass(kind) and isinstance(raw, Mapping):
        for key in (key for key, value in raw.items() if isinstance(value, bool)):
            _refuse_booleans(types_of(cast("type", kind)).get(key), raw[key], f"{where}.{key}")


@cache
def _adapter(kind: Hashable, *, described: bool = False) -> TypeAdapter[Any]:
    if dataclasses.is_dataclass(kind):
        checks = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=described)
        setattr(kind, "__pydantic_config__", checks)  # noqa: B010
    return TypeAdapter(cast("Any", kind))


def schema_of(kind: type) -> dict[str, Any]:
    """Return the JSON schema of a dataclass of settings; the docstrings of its fields describe the keys."""
    return _adapter(cast("Hashable", kind), described=True).json_schema()


def _sentence(error: ValidationError, kind: Any, raw: Any, where: str) -> str:
    first = error.errors()[0]
    if isinstance(own := first.get("ctx", {}).get("error"), UserError):
        return str(own)
    key = ".".join([where, *(str(step) for step in first["loc"])])
    if first["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        known = [f"{where}.{f.name}" for f in dataclasses.fields(kind)]
        return f"found the unknown key {key}; {suggestion(key, known)}"
    if first["type"] == "missing":
        return f"found no value for {key}; wanted one; add {key}=VALUE"
    if first["input"] is None:
        return f"found no value for {key} (null), which has to be given; {_wanted(first['msg'])}; add {key}=VALUE"
    several = isinstance(first["input"], str) and {",", ";", "("} & set(first["input"])
    advice = "write several values of a sweep as a list, such as [1, 2]" if several else "change it"
    return f"found {key}={first['input']!r}; {_wanted(first['msg'])}; {advice}"


def _wanted(message: str) -> str:
    """Return pydantic's message about a value in the wording of our errors, what is wanted."""
    subject, _, what = message.partition("should be ")
    if subject.lower() != "input ":
        return f"{message[:1].lower()}{message[1:]}"
    what = what.partition(", unable to")[0].partition(" or an instance of")[0]
    for theirs, ours in (("valid ", ""), ("a integer", "a whole number"), ("a boolean", "true or false")):
        what = what.replace(theirs, ours)
    return f"wanted {'a value ' if what.startswith(('greater', 'less')) else ''}{what}"


def plain(value: Any) -> Any:
    """Return a config as plain dictionaries, lists and scalars: the inverse of read_config."""
    if isinstance(value, PLAIN):  # most are, and a plan has millions of them
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        if isinstance(value, RunConfig | Train | Parent):
            return fields
        return {"_target_": path_of(type(value)), **fields}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value
