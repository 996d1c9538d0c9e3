"""Labels of mixed examples (MixUp): two for each example, and one share for the batch."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torch.nn import functional


class Mixed(NamedTuple):
    """Class indices `first` and `second` (n,) of the two examples mixed; `share` () of the first, one for the batch."""

    first: Tensor
    second: Tensor
    share: Tensor

    def split(self, size: int) -> list[Mixed]:
        """Cut into the labels of micro-batches of `size`."""
        parts = zip(self.first.split(size), self.second.split(size), strict=True)
        return [Mixed(first, second, self.share) for first, second in parts]


def mixed_cross_entropy(outputs: Tensor, y: Mixed, label_smoothing: float) -> Tensor:
    """Return share x CE(first) + (1 - share) x CE(second) in nats, smoothed: the mean over outputs (n, classes)."""
    logs = functional.log_softmax(outputs, dim=1)
    loss = y.share * functional.nll_loss(logs, y.first) + (1 - y.share) * functional.nll_loss(logs, y.second)
    return (1 - label_smoothing) * loss - label_smoothing * logs.mean() if label_smoothing else loss
