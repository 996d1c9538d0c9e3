"""Constants that training and forecasts share, without torch."""

from __future__ import annotations

from scaling.devices import cores

CHECK_STEPS = 64  # between two checks that the loss is finite; each check waits for the device
EVALUATED_ROWS = {"cpu": 2_048, "cuda": 16_384}  # examples evaluated at a time
# Numbers in the widest layer, for all members of a stack together, that are computed at a time in evaluation: on a CPU
# as many as its caches hold.
EVALUATED_NUMBERS = {"cpu": 1 << 17, "cuda": 1 << 26}
DRAWERS = {"cpu": 1, "cuda": 16}  # threads that draw fresh examples: a GPU takes them faster than a few cores make them
HELD_SHARE = 0.5  # of a GPU's free memory that a data set may take; the rest is for the model and its activations
TRAIN_EXAMPLES = 4_096  # the first of the training subset, on which train_loss is computed
NORMALISED_BYTES = 1 << 28  # 256 MiB of float32: a smaller set is normalised once, a larger one batch by batch


def drawers(kind: str) -> int:
    """Return how many threads draw fresh examples for a kind of device, cpu or cuda."""
    return min(DRAWERS[kind], max(1, cores()))


def is_normalised_once(numbers: int, *, examples: int, reads: int) -> bool:
    """Return whether a set is normalised once and kept in float32: if it is small and read often.

    numbers: in all its examples together; reads: number of examples that will be read.
    """
    return reads >= examples and 4 * numbers <= NORMALISED_BYTES
