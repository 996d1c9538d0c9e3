"""Check that a user's module is the same when it is made again from the same seed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from scaling.errors import UserError
from scaling.global_streams import SEEDED_BY, own_streams, seeding_call, stream_states
from scaling.security.process_state import usual_process

EXAMPLES = 2  # the fewest that a batch norm accepts
SAMPLE = 1024  # values of a parameter, spread over it, that are kept and compared
RTOL, ATOL = 1e-3, 1e-6  # far above rounding, far below differences of random draws
WANTED = (
    "wanted the same: draw from torch's, NumPy's or Python's global generators, which each run seeds, and keep nothing "
    "in classes, caches or modules"
)

Make = Callable[[], nn.Module]


def check_repeatable(name: str, make: Make, shape: tuple[int, ...], *, seed: int) -> None:
    """Make a module twice from one seed; UserError if the two differ in weights, random draws or training outputs.

    UserError also if it seeds a global stream itself: runs of every seed would have the same draws.
    """
    try:
        first, again = (_made(make, shape, seed) for _ in range(2))
    except (RuntimeError, NotImplementedError) as error:
        if "meta" in str(error):  # the device used for counting
            raise UserError(
                f"found {name} with tensors without values, of the device meta ({error}); wanted values: make "
                f"none with device='meta', and keep none from one making, such as that for counting, for "
                f"the next in classes, caches or modules"
            ) from error
        raise
    if call := _seeding_call(again, make, shape, seed):
        raise UserError(
            f"found {name}, which calls {call}, so that all runs draw the same numbers; wanted the seed of the run; "
            f"take it out, or restore the generator's state after it (torch.random.fork_rng())"
        )
    different = [each for each in first.keys() & again.keys() if not _same(first[each], again[each])]
    if different:
        raise UserError(f"found {name}, made twice from one seed, with other {min(different)}; {WANTED}")


def _seeding_call(made: Mapping[str, Any], make: Make, shape: tuple[int, ...], seed: int) -> str:
    """Return the function by which a module seeds a global stream, '' if it does not.

    If it has used NumPy's or Python's, it is made once more, from another seed.
    """
    if made["seed"] != seed:
        return SEEDED_BY["torch"]
    with own_streams(seed):
        unused = stream_states([])
    if all(made["streams"][name] == unused[name] for name in ("numpy", "random")):
        return ""
    return seeding_call(made["streams"], _made(make, shape, seed + 1)["streams"])


def _made(make: Make, shape: tuple[int, ...], seed: int) -> dict[str, Any]:
    """Make the module and return its facts; changes that its code makes to this process are undone."""
    with usual_process():
        return dict(facts(make, shape, seed))


def facts(make: Make, shape: tuple[int, ...], seed: int) -> Iterator[tuple[str, Any]]:
    """Make a module, and yield what has to be the same the next time, with its name; of large weights a sample."""
    with own_streams(seed):
        module = make()
        for name, parameter in module.named_parameters():
            if not isinstance(parameter, nn.parameter.UninitializedParameter):
                every = max(1, parameter.numel() // SAMPLE)
                yield f"weights ({name})", parameter.detach().flatten()[::every].clone()
        yield "draws in its making", stream_states([])
        module.train()
        yield from _of_a_batch(module, batch_of(shape))
        yield "seed", torch.initial_seed()
        yield "streams", stream_states([])


def batch_of(shape: tuple[int, ...]) -> Tensor:
    """Return a batch of examples (n, *shape) on which modules are compared."""
    return torch.linspace(-1, 1, EXAMPLES * prod(shape)).reshape(EXAMPLES, *shape)


def _of_a_batch(module: nn.Module, x: Tensor) -> Iterator[tuple[str, Any]]:
    try:
        with torch.no_grad():
            outputs = module(x)
    except Exception as error:
        if "meta" in str(error):
            raise
        return  # it fails in training too, where it is reported
    yield "outputs in training", outputs
    yield "draws in training", stream_states([])


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor):
        return one.shape == other.shape and torch.allclose(one, other, rtol=RTOL, atol=ATOL, equal_nan=True)
    if isinstance(one, Mapping):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and all(isinstance(item, Tensor) for item in one):  # states of torch's generators
        return len(one) == len(other) and all(map(torch.equal, one, other))
    return bool(one == other)
