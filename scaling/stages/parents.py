"""Check what a stage requires: a parent with a network, matching shapes, a head to replace, a training subset."""

from __future__ import annotations

from scaling.accounting import Layer, head_inputs
from scaling.config import RunConfig
from scaling.errors import UserError
from scaling.plan.planned import PlannedRun
from scaling.plan.quantities import subset_size


def check_parent(config: RunConfig, parent: PlannedRun | None) -> PlannedRun:
    """Return the parent; UserError if there is none, or the stage's data does not fit its network."""
    name = config.stage.name
    if parent is None:
        raise UserError(f"found stage={name} without a run to start from; wanted one; give parent.run_id=RUN_ID")
    if not parent.config.stage.trains:
        raise UserError(
            f"found run {parent.run_id} of stage={parent.config.stage.name}, which trains no network, to start "
            f"stage={name} from; wanted one of stage=train, probe or finetune; name another parent"
        )
    ours, theirs = config.data.shape, parent.input_shape
    if ours != theirs and not (len(ours) == len(theirs) == 3 and ours[0] in (1, theirs[0])):
        raise UserError(
            f"found data={config.data.name} of shape {tuple(ours)} for a network of run {parent.run_id} that reads "
            f"{tuple(theirs)}; wanted images with as many channels (or one), or examples of that shape; choose others"
        )
    return parent


def layers_of(parent: PlannedRun, outputs: int) -> list[Layer]:
    """Return the layers of the parent's network with a head of `outputs`."""
    layers: list[Layer] = parent.config.model.layers(parent.input_shape, outputs)
    return layers


def features_of(config: RunConfig, parent: PlannedRun) -> int:
    """Return the number of output features of the parent's body; UserError if its model has no head to replace."""
    found = head_inputs(layers_of(parent, config.data.outputs), config.data.outputs)
    if found is None:
        raise UserError(
            f"found model={parent.config.model.family}, which has no head of its own; wanted a body and a head; "
            f"start stage={config.stage.name} from another run"
        )
    return found


def required_subset_size(config: RunConfig) -> int:
    """Return the size of the training subset; UserError if examples are drawn without end."""
    pool = subset_size(config)
    if pool is None:
        raise UserError(
            f"found stage={config.stage.name} with data={config.data.name}, whose examples are drawn fresh without "
            f"end; wanted a subset; give data.size"
        )
    return pool


def check_classes(config: RunConfig, parent: PlannedRun) -> None:
    """Raise UserError if the data has other classes than those that the parent was trained on."""
    ours, theirs = config.data, parent.config.data
    if (ours.outputs, ours.metric) != (theirs.outputs, theirs.metric):
        raise UserError(
            f"found stage={config.stage.name} with data={ours.name} ({ours.outputs} outputs) for run {parent.run_id}, "
            f"which was trained on {theirs.name} ({theirs.outputs} outputs); wanted the same classes; drop data="
        )
