"""Private names of torch, each with a fallback if torch no longer has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils import flop_counter
from torch.utils.module_tracker import ModuleTracker

from scaling.errors import UserError

Kind = TypeVar("Kind", bound=type[torch.optim.Optimizer])

# AdamW's kernel for a list of parameters; None if torch has none of that name (then torch's own step is used).
fused_adamw: Callable[..., None] | None = getattr(torch, "_fused_adamw_", None)
# The only sampler of torch that takes a generator and does not wait for the device; None if torch has none.
sample_dirichlet: Callable[[Tensor, torch.Generator], Tensor] | None = getattr(torch, "_sample_dirichlet", None)


def relu_backward(gradient: Tensor, outputs: Tensor) -> Tensor:
    """Return the gradient with respect to a ReLU's input, given that with respect to its outputs."""
    found: Tensor = torch.ops.aten.threshold_backward.default(gradient, outputs, 0)
    return found


def gelu_backward(gradient: Tensor, x: Tensor) -> Tensor:
    """Return the gradient with respect to the input x of an exact GELU, given that with respect to its outputs."""
    found: Tensor = torch.ops.aten.gelu_backward.default(gradient, x)
    return found


def layer_norm_backward(gradient: Tensor, x: Tensor, shape: list[int], mean: Tensor, rstd: Tensor) -> Tensor:
    """Return the gradient with respect to the input x of a layer norm without gain and shift.

    gradient: with respect to the output; mean, rstd: from `native_layer_norm`.
    """
    parts = (True, False, False)  # only the gradient with respect to x
    return torch.ops.aten.native_layer_norm_backward.default(gradient, x, shape, mean, rstd, None, None, parts)[0]


def unhooked(kind: Kind) -> Kind:
    """Keep torch from wrapping an optimiser's step in hooks and profiler records: 20 us of a step's 270.

    Torch does so once for each class, unless the step is marked as wrapped.
    """
    kind.step.__dict__["hooked"] = True
    return kind


def for_each(name: str) -> Callable[..., Any]:
    """Return torch's function for a tensor method on lists of tensors, or a loop with the same results.

    name: a method of Tensor such as "add_" or "lerp".
    """
    found = getattr(torch, f"_foreach_{name}", None)
    one = getattr(Tensor, name)

    def loop(tensors: list[Tensor], *others: Any, **settings: Any) -> list[Tensor]:
        columns = [other if isinstance(other, list) else [other] * len(tensors) for other in others]
        return [one(*row, **settings) for row in zip(tensors, *columns, strict=True)]

    return loop if found is None else found


def draw_beta(a: float, generator: torch.Generator) -> Tensor:
    """Draw one number () from Beta(a, a) on the generator's device, using only the generator.

    It is the first number of a two-dimensional Dirichlet sample; if torch lacks that sampler, torch.distributions,
    seeded from the generator, draws other numbers of the same distribution.
    """
    if sample_dirichlet is not None:
        return sample_dirichlet(torch.full((2,), a, device=generator.device), generator)[0]
    seed = int(torch.randint(2**62, (), generator=generator, device=generator.device))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return torch.distributions.Beta(*torch.full((2,), a)).sample().to(generator.device)


@cache
def skip_dynamo_import() -> None:
    """Keep the optimisers from importing torch._dynamo: 1.2 s of CPU a process, which eager training never uses.

    No effect if torch's wrappers are not those of torch 2.6 to 2.13. A step is wrapped to turn gradients off and to
    break compiled graphs, other methods to be excluded from them; both wrappers first import torch._dynamo. Here
    gradients are turned off as well; nothing else changes.
    """
    for method in vars(torch.optim.Optimizer).values():
        if getattr(method, "__module__", "") == "torch.optim.optimizer":
            _leave_enabled(method)
    for kind in (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD):
        inner = getattr(kind.step, "__wrapped__", None)
        if inner is not None:
            kind.step = torch.no_grad()(inner)  # type: ignore[method-assign]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compile a function with torch.compile for each shape that it is called with, without a limit on their number.

    It raises instead of falling back to eager mode; UserError if it cannot compile at all, such as without a compiler.
    """
    from torch._dynamo import config
    from torch._dynamo.exc import TorchDynamoException

    # By default torch makes eight and takes every further shape eagerly, with a warning. Names of torch 2.6 to 2.13.
    limits = dict.fromkeys(("recompile_limit", "cache_size_limit", "accumulated_cache_size_limit"), 1 << 30)
    for name, value in {**limits, "fail_on_cache_limit_hit": True, "fail_on_recompile_limit_hit": True}.items():
        if hasattr(config, name):
            setattr(config, name, value)
    made = torch.compile(function, dynamic=False)

    def call(*arguments: Any) -> Any:
        try:
            return made(*arguments)
        except TorchDynamoException as error:
            lines = [line for line in str(error).splitlines() if line and not line.startswith("Set TORCH")]
            reason = " ".join(lines[:2]).rstrip(".")
            raise UserError(
                f"found train.engine=compile where torch.compile fails: {reason}; wanted a C++ compiler (on a GPU "
                f"Triton too) and a model that torch.compile can read; install one, or set train.engine=eager"
            ) from error

    return call


@cache
def skip_dynamo_import_in_counter() -> None:
    """Keep torch's FLOP counter from importing torch._dynamo; no effect on other versions of torch."""
    mode = getattr(flop_counter, "_FlopCounterMode", None)
    _leave_enabled(getattr(mode, "__torch_dispatch__", None))


class ForwardTracker(ModuleTracker):
    """Tell torch's FLOP counter which modules run forward alone: its hooks for backward passes fail within one.

    A module that calls torch.autograd.grad in its forward has such a pass. The FLOPs of a backward pass count in total.
    """

    def _fw_pre_hook(self, mod: nn.Module, input: Any) -> None:
        self._get_append_fn(self._get_mod_name(mod), False)()

    def _fw_post_hook(self, mod: nn.Module, input: Any, output: Any) -> None:
        self._get_pop_fn(self._get_mod_name(mod), False)()


def _leave_enabled(method: Any) -> None:
    """Let a method that torch excludes from compiled graphs be called directly."""
    inner = getattr(method, "__wrapped__", None)
    if inner is not None:
        inner.__dict__.setdefault("__dynamo_disable", inner)  # the wrapper checks this before the import


def buffers_of(part: nn.Module) -> dict[str, Tensor | None]:
    """Return the dictionary of the buffers of one module, without submodules; for a script module a copy of it."""
    return part._buffers if isinstance(part._buffers, dict) else dict(part._buffers.items())


def unsaved_buffers(part: nn.Module) -> dict[str, Tensor | None]:
    """Return the buffers of one module that are not in its state_dict."""
    unsaved = part._non_persistent_buffers_set  # which may name some that were removed
    return {name: value for name, value in part._buffers.items() if name in unsaved}


def has_accumulation_hooks(parameter: Tensor) -> bool:
    """Return whether hooks are called when a parameter's gradient is accumulated; False if torch does not tell."""
    return bool(getattr(parameter, "_post_accumulate_grad_hooks", None))


def version_of(tensor: Tensor) -> int:
    """Return a tensor's version, the number of its in-place changes."""
    found: int = tensor._version
    return found


def entered_modes() -> Iterator[str]:
    """Yield the names of active torch modes, which only their own contexts can leave, as far as torch tells."""
    if torch.is_inference_mode_enabled():
        yield "inference mode"
    for device in ("cpu", "cuda"):
        if torch.is_autocast_enabled(device):
            yield f"autocast on {device}"
    for entered, what in _MODES:
        if entered():
            yield what
    if any(global_hooks()):
        yield "a hook on all modules or optimisers"


def _lookups() -> Iterator[tuple[Callable[[], Any], str]]:
    from torch import overrides
    from torch.utils import _python_dispatch

    for owner, name, what in (
        (overrides, "_get_current_function_mode_stack", "a mode for torch's functions"),
        (_python_dispatch, "_get_current_dispatch_mode_stack", "a mode for torch's operators"),
    ):
        found = getattr(owner, name, None)
        if found is not None:
            yield found, what


_MODES = tuple(_lookups())


def global_hooks() -> list[dict[Any, Any]]:
    """Return torch's own dictionaries of hooks on all modules and on all optimisers."""
    from torch.nn.modules import module
    from torch.optim import optimizer

    parts = [*vars(module).items(), *vars(optimizer).items()]
    return [found for name, found in parts if name.startswith("_global_") and isinstance(found, dict)]
