"""The network of a stage: its parent's, with its own head or a new one, and behind a resize of its input if needed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.parameter import is_lazy

from scaling.errors import UserError
from scaling.global_streams import own_streams
from scaling.models.build_model import build_model
from scaling.models.custom import is_users_module
from scaling.models.module_state import UnsavedState, own_values
from scaling.models.parts import as_evaluated, head_of, shape_difference
from scaling.plan.planned import PlannedRun
from scaling.train.attempt import PlacedRun
from scaling.train.learner import Learner
from scaling.train.output.kept_weights import KeptWeights, read_kept_weights
from scaling.train.streams import stream

EXAMPLES = 4  # on which a user's network is compared with its head on its features
ROUNDING = 1e-2  # relative to the largest output: more than the rounding of TF32


class Resized(nn.Module):
    """A network behind a bilinear resize of its input, on the device; one channel is repeated if it reads several.

    Images that already have its size, such as crops made for it, are not resampled.
    """

    def __init__(self, network: nn.Module, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.shape = network, shape
        self.head_name = f"network.{name_of_head(network)}"

    def forward(self, x: Tensor) -> Tensor:
        """Map images (n, channels, height, width) to outputs (n, outputs)."""
        size = self.shape[1:]
        if x.shape[2:] != size:
            x = functional.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=False)
        return self.network(x.expand(-1, self.shape[0], -1, -1))


class FrozenBody(nn.Module):
    """A network of which only the head is trained: the rest has no gradients and stays in evaluation mode."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.head_name = f"network.{name_of_head(network)}"
        network.requires_grad_(False)
        head_of(self).requires_grad_()
        self.train()

    def train(self, mode: bool = True) -> FrozenBody:
        """Set the mode of the head."""
        super().train(False)
        self.training = mode
        head_of(self).train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        """Map examples (n, *shape) to outputs (n, outputs)."""
        found: Tensor = self.network(x)
        return found


def with_resize(network: nn.Module, placed: PlacedRun) -> nn.Module:
    """Return the network, with a resize of its input if the run's data has another shape than the network reads."""
    reads = placed.run.input_shape
    return network if placed.run.config.data.shape == reads else Resized(network, reads)


def crop_size(placed: PlacedRun) -> tuple[int, int] | None:
    """Return the (height, width) of a run's crops, None for that of its own images.

    It is the size that the network reads; in recipe 1 crops had the size of the data and were then resampled.
    """
    config, reads = placed.run.config, placed.run.input_shape
    if config.data.shape == reads or config.recipe_version == 1:
        return None
    _, height, width = reads
    return height, width


def start_of(run: PlannedRun) -> tuple[PlannedRun, int]:
    """Return the run that a stage starts from, and the step whose weights it takes."""
    parent, start = run.parent, run.config.parent
    step = None if start is None else start.step
    assert parent is not None, "a run from scratch starts from no other run"
    assert step is not None, "a plan states the step"
    return parent, step


def parent_network(placed: PlacedRun, *, new_head: bool) -> nn.Module:
    """Return the parent's network with the weights that it kept; UserError if it kept none.

    new_head: replace its head by one for the run's own outputs, initialised as in training from scratch.
    """
    run = placed.run
    parent, step = start_of(run)
    network = _made(run, (run if new_head else parent).config.data.outputs)
    kept = read_kept_weights(placed.folder.other(parent.run_id), step)
    weights, own = kept.model, _own_values_to_take(kept, network, run, parent)
    if new_head:
        head = f"{name_of_head(network)}."
        own = {name: value for name, value in own.items() if not name.startswith(head)}
        fresh = {name: value for name, value in network.state_dict().items() if name.startswith(head)}
        weights = {name: value for name, value in weights.items() if not name.startswith(head)} | fresh
    _check_fit(network, weights, f"run {parent.run_id} at step {step}")
    UnsavedState(network).load(own, kept.own_devices)
    network.load_state_dict(weights)
    return network.to(placed.device)


def _made(run: PlannedRun, outputs: int) -> nn.Module:
    """Make a stage's network with a number of outputs, from the stage's seed."""
    network = build_model(run.config.model, run.input_shape, outputs, stream(run.config.seed, "init"))
    _make_lazy_parameters(network, run.input_shape, run.config.seed)
    return network


def _own_values_to_take(kept: KeptWeights, network: nn.Module, run: PlannedRun, parent: PlannedRun) -> dict[str, Any]:
    """Return what a user's module keeps outside its state_dict and that differs from what it is made with.

    It was changed in training, or drawn from another seed. What follows from the number of outputs is left as it is.
    """
    if not kept.own:
        return {}
    outputs = parent.config.data.outputs
    alike = network if outputs == run.config.data.outputs else _made(run, outputs)
    made = own_values(network)

    def fits(name: str, value: Any) -> bool:
        other = made.get(name)
        return not (isinstance(value, Tensor) and isinstance(other, Tensor)) or value.shape == other.shape

    return {name: value for name, value in UnsavedState(alike).different(kept.own).items() if fits(name, value)}


def head_learner(placed: PlacedRun) -> Learner:
    """Return a new head to be trained alone; the sets hold the features of the frozen body.

    UserError for a head whose weights are not of the features' kind, float32.
    """
    network = parent_network(placed, new_head=True)
    head = head_of(network)
    odd = next((weights.dtype for weights in head.parameters() if weights.dtype != torch.float32), None)
    if odd is not None:
        raise UserError(
            f"found {type(network).__name__}, whose head has weights of {odd}; wanted torch.float32, as the features "
            f"of a probe are; change the head, or take stage=finetune with optim.body_share=0"
        )
    return Learner(head, network)


def network_learner(placed: PlacedRun, *, head_alone: bool) -> Learner:
    """Return the parent's network with a new head, and with a resize if the images have another size.

    head_alone: train only the head.
    """
    network = parent_network(placed, new_head=True)
    module = with_resize(network, placed)
    if head_alone:
        module = FrozenBody(module)
        if is_users_module(placed.run.config.model):
            _check_depends_on_head(module, network, placed)
    return Learner(module, network, crop_size(placed))


def _check_depends_on_head(module: FrozenBody, network: nn.Module, placed: PlacedRun) -> None:
    """Raise UserError if the outputs of a frozen body in evaluation mode do not depend on the head."""
    with as_evaluated(module), own_streams(0):
        outputs = module(torch.zeros(EXAMPLES, *placed.run.config.data.shape, device=placed.device))
    if not outputs.requires_grad:
        raise UserError(
            f"found {type(network).__name__}, whose output in evaluation mode does not depend on its head "
            f"{name_of_head(network)}, as where it is that of averaged weights; wanted the head's, since "
            f"optim.body_share=0 keeps the body in that mode; take a larger share, or name another layer by model.head"
        )


def _make_lazy_parameters(network: nn.Module, shape: tuple[int, ...], seed: int) -> None:
    """Show a network with lazy parameters the batch by which it makes them."""
    if any(map(is_lazy, network.parameters())):
        with as_evaluated(network), torch.no_grad(), own_streams(seed):
            network(torch.zeros(EXAMPLES, *shape))


def _check_fit(network: nn.Module, weights: dict[str, Tensor], of: str) -> None:
    """Raise UserError if weights have other names or shapes than those of the network."""
    if difference := shape_difference(weights, network.state_dict()):
        name, found, wanted = difference
        raise UserError(
            f"found the weights {name} of {of} of shape {found} for a model that has {wanted}; "
            f"wanted the model that it trained; restore its code, or train again"
        )


def name_of_head(network: nn.Module) -> str:
    """Return the dotted name of a network's head."""
    head = head_of(network)
    return next(name for name, part in network.named_modules() if part is head)


def replace_head(network: nn.Module, head: nn.Module) -> nn.Module:
    """Replace the head of a network, and return the one it had."""
    name = name_of_head(network)
    before = network.get_submodule(name)
    owner, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(owner), leaf, head)
    return before


@torch.no_grad()
def check_head(network: nn.Module, shape: tuple[int, ...]) -> None:
    """Raise UserError if a network's output is not what its head makes of the features before it.

    The head of this network is replaced by the identity.
    """
    device = next(network.parameters()).device
    x = torch.randn((EXAMPLES, *shape), generator=torch.Generator().manual_seed(0)).to(device)
    network.eval()
    name, kind = name_of_head(network), type(network).__name__
    with own_streams(0):
        wanted = network(x)
    head = replace_head(network, nn.Identity())
    try:
        with own_streams(0):
            found = head(network(x))
    except (RuntimeError, AttributeError):  # shapes do not fit, or the network uses more of its head than its output
        found = wanted[:0]
    if found.shape != wanted.shape or (found - wanted).abs().max() > ROUNDING * wanted.abs().max():
        raise UserError(
            f"found {kind}, whose output is more than that of its last layer {name}; wanted features and a head on "
            f"them; name another layer by model.head, or take stage=finetune with optim.body_share=0"
        )
