"""Check that the state of a user's module is in its checkpoints, and that evaluation leaves it unchanged."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from scaling.errors import UserError
from scaling.global_streams import own_streams
from scaling.models.module_state import UnsavedState, device_kinds
from scaling.models.parts import as_evaluated
from scaling.models.repeatable import Make, batch_of
from scaling.security.process_state import usual_process

RTOL, ATOL = 1e-5, 1e-8  # the same arithmetic twice
MOVED = 0.02  # standard deviation of what is added to trained weights, which a state_dict of the user's may lack


def check_resumable(name: str, make: Make, shape: tuple[int, ...], *, seed: int) -> None:
    """Raise UserError if a module continues differently after it was evaluated, saved and loaded."""
    try:
        with usual_process(), torch.no_grad():
            same = _is_same(make, batch_of(shape), seed)
    except Exception:  # it fails in training too, where it is reported
        return
    if not same:
        raise UserError(
            f"found {name} with state that evaluation changes or checkpoints lack, such as a generator, an object, a "
            f"list of tensors, or weights that its own state_dict leaves out; wanted all of it in buffers, tensors, "
            f"numbers, or lists of numbers, and draws from torch's, NumPy's or Python's global generators"
        )


def _is_same(make: Make, x: Tensor, seed: int) -> bool:
    """Compare the next two outputs of a module in training with those of one that is made again and given its state."""
    module, unsaved = _made(make, seed)
    _outputs(module, -x, seed)
    _move(module, seed)
    state = unsaved.changed()
    again, unsaved_again = _made(make, seed)
    unsaved_again.load(state, device_kinds(state))
    again.load_state_dict(module.state_dict())
    for examples in (x, x / 2):
        with as_evaluated(module):
            module(x)
        found, wanted = _outputs(module, examples, seed), _outputs(again, examples, seed)
        if not torch.allclose(found, wanted, rtol=RTOL, atol=ATOL, equal_nan=True):
            return False
    return True


def _move(module: nn.Module, seed: int) -> None:
    """Change the trained weights of a module, as steps do."""
    with own_streams(seed):
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter), alpha=MOVED)


def _made(make: Make, seed: int) -> tuple[nn.Module, UnsavedState]:
    with own_streams(seed):
        module = make()
        module.train()
    return module, UnsavedState(module)


def _outputs(module: nn.Module, x: Tensor, seed: int) -> Tensor:
    with own_streams(seed):
        found: Tensor = module(x)
    return found
