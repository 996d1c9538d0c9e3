"""A user's own model: any torch module by its import path, counted from one batch."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache, partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from pydantic import NonNegativeInt, PositiveInt

from scaling.accounting import Layer
from scaling.errors import UserError, import_words
from scaling.global_streams import own_streams
from scaling.security.modules import is_shipped
from scaling.security.process_state import usual_process
from scaling.security.trust import WANTED, check_trusted, is_own_code

if TYPE_CHECKING:
    import torch

    from scaling.models.counted import CountedModule


@dataclass(frozen=True)
class Custom:
    """The torch module that `module` names (package.Class, or a function that returns one).

    It maps examples (n, *shape) to (n, outputs). Its own code draws its weights, from torch's, NumPy's or Python's
    generator, all of which are seeded by the run.
    """

    module: str
    """Import path: package.Class, or package.function that returns a module."""
    width: PositiveInt | None = None
    depth: NonNegativeInt | None = None
    kwargs: dict[str, Any] = field(default_factory=dict)
    """Keyword arguments, beside width and depth if given, and shape (of one example) and outputs if it takes them."""
    embed: str | None = None
    """Name of the first layer; null: the first submodule with a weight matrix that runs."""
    head: str | None = None
    """Name of the last layer; null: `head`, or the last submodule with a weight matrix that runs."""
    version: int = 1
    """To be raised when the code changes, since a run's identity names the code, not its content."""

    def __hash__(self) -> int:
        values = (self.module, self.width, self.depth, self.embed, self.head, self.version)
        return hash((*values, json.dumps(self.kwargs, sort_keys=True, default=str)))

    @property
    def family(self) -> str:
        """The module's own name."""
        return self.module.rpartition(".")[2]

    def layers(self, shape: tuple[int, ...], outputs: int) -> list[Layer]:
        """Count the module from one batch, once a process."""
        return list(_counted(self, shape, outputs).layers)

    def build(self, shape: tuple[int, ...], outputs: int, generator: torch.Generator) -> torch.nn.Module:
        """Make the module on the CPU from the global streams, seeded from `generator` and restored after."""
        import torch

        from scaling.models.users_model import check_made, check_users_model

        seed = int(torch.randint(2**62, (), generator=generator))
        make = partial(self.make, shape, outputs)
        check_users_model(self, (shape, outputs), lambda: check_made(self.module, make, shape, seed=seed))
        with own_streams(seed):
            module = self.make(shape, outputs)
        if (self.head or not hasattr(module, "head")) and (head := _counted(self, shape, outputs).head):
            module.head_name = head  # type: ignore[assignment]
        return module

    def make(self, shape: tuple[int, ...], outputs: int) -> torch.nn.Module:
        """Call the class or function `module`; UserError if the config does not fit its signature."""
        from torch import nn

        factory = load_factory(self.module)
        signature, names = inspect.signature(factory), _argument_names(factory)
        offered = {"shape": tuple(shape), "outputs": outputs}
        taken = {key: value for key, value in offered.items() if key in names}
        sizes = {"width": self.width, "depth": self.depth}
        given = {key: value for key, value in sizes.items() if value is not None} | self.kwargs
        try:
            bound = signature.bind(**taken, **given)
        except TypeError as error:
            raise UserError(
                f"found {self.module}{signature}, which cannot be called with {', '.join([*taken, *given])} ({error}); "
                "wanted arguments named shape (of one example) and outputs, and values for all others in model.width, "
                "model.depth or model.kwargs; rename the arguments or give the values"
            ) from error
        module = factory(*bound.args, **bound.kwargs)
        if not isinstance(module, nn.Module):
            raise UserError(f"found {self.module}, which makes a {type(module).__name__}; wanted a torch.nn.Module")
        return module


def is_users_module(model: Any) -> bool:
    """Return whether a model makes a user's module: as a `Custom`, or as a family that is not shipped."""
    return isinstance(model, Custom) or not is_shipped(type(model))


def _argument_names(factory: Callable[..., Any]) -> set[str]:
    """Return the names of the arguments; of a class that takes **kwargs also those of the classes it derives from."""
    names = set[str]()
    for each in inspect.getmro(factory) if inspect.isclass(factory) else (factory,):
        parameters = inspect.signature(each).parameters
        names |= set(parameters)
        if not any(parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
            break
    return names


def load_factory(path: str) -> Callable[..., Any]:
    """Import the class or function of a dotted path; UserError if there is none."""
    module, _, name = path.rpartition(".")
    check_trusted(module, named=f"model.module={path}")
    try:
        found = getattr(import_module(module), name)
    except (Exception, SystemExit) as error:
        advice = f"write model.module={path.replace(':', '.')}" if ":" in path else "change it"
        raise UserError(
            f"found model.module={path}, which cannot be imported ({import_words(error)}); wanted package.Class, "
            f"importable from the current directory; {advice}"
        ) from error
    if not callable(found):
        raise UserError(f"found model.module={path}, which cannot be called; wanted a class or a function; change it")
    if not _may_be_called(found):
        raise UserError(f"found model.module={path}, neither a class of torch modules nor code of your own; {WANTED}")
    factory: Callable[..., Any] = found
    return factory


def _may_be_called(found: Any) -> bool:
    """Return whether a config may name this: a class of torch modules, or an object defined in trusted code."""
    from torch import nn

    if isinstance(found, type) and issubclass(found, nn.Module):
        return True
    return is_own_code(getattr(found, "__module__", None) or "")


@lru_cache(maxsize=4096)
def _counted(model: Custom, shape: tuple[int, ...], outputs: int) -> CountedModule:
    from scaling.models.counted import count_module

    with usual_process():
        return count_module(model, shape, outputs)
