"""What N, D and C mean: the one place where parameters and floating-point operations are counted.

A multiply-add is 2 FLOPs. `C` is 3 x forward FLOPs per example x examples processed, the field's convention (Kaplan et
al. 2020, arXiv 2001.08361, section 2.1); forward FLOPs are those of the matrix products and convolutions, biases,
norms and activations left out.

A stage that starts from another run has a cost of its own, `stage_C`: 3 x forward of what it trains x examples, and
where the body is frozen one forward pass of it over the training subset, whose features are kept. Evaluating models,
test-time augmentation included, counts nothing, as for a training run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

FLOPS_PER_MULTIPLY_ADD = 2  # one multiplication, one addition
TRAINING_PER_FORWARD = 3  # forward 1 + backward 2 (gradients of the inputs and of the weights)

Role = Literal["embed", "body", "head"]


@dataclass(frozen=True)
class Layer:
    """A weight matrix (or convolution) and how often it is used for one example.

    weights: parameters of the matrix; others: biases, gains, shifts; uses: multiplications of the whole matrix
    per example (1 for a dense layer, the number of output positions for a convolution); first: reads the data
    itself, so that the backward pass computes no gradient of its input; repeat: how many such layers there are;
    flops: forward FLOPs per example in addition to those of the matrix (attention's products); frozen: parameters that
    training does not change; unneeded: FLOPs per example that the backward pass saves because of that; maps: outputs of
    a convolution for one example, which cost time in addition to its FLOPs; per_pass: FLOPs of a forward pass in
    addition, whatever its batch (weights that are made of others).
    """

    weights: int
    others: int = 0
    role: Role = "body"
    uses: int = 1
    first: bool = False
    repeat: int = 1
    flops: int = 0
    frozen: int = 0
    unneeded: int = 0
    maps: int = 0
    per_pass: int = 0

    @property
    def forward_flops(self) -> int:
        """FLOPs per example of one forward pass through all repetitions."""
        return (FLOPS_PER_MULTIPLY_ADD * self.weights * self.uses + self.flops) * self.repeat


def dense(inputs: int, outputs: int, *, bias: bool = True, role: Role = "body", first: bool = False) -> Layer:
    """Count a dense layer of `inputs` x `outputs` weights."""
    return Layer(weights=inputs * outputs, others=outputs if bias else 0, role=role, first=first)


def norm(features: int, *, role: Role = "body") -> Layer:
    """Count a norm with gain and shift: parameters, but no matrix product."""
    return Layer(weights=0, others=2 * features, role=role)


@dataclass(frozen=True)
class Counts:
    """Parameters and FLOPs of one model; all exact. A field that counts parameters is a column of plans and records.

    N: parameters of all weight matrices; N_total: all parameters; N_body: weight matrices without input embedding
    and head; N_nonhead: weight matrices without the head; forward_flops: FLOPs per example of one forward pass;
    backward_flops: of the backward pass as executed (the first layer needs no gradient of its input); N_frozen: of
    all parameters those that training leaves as they are, a column only where there are any; pass_flops: of a forward
    pass in addition, whatever its batch.
    """

    N: int
    N_total: int
    N_body: int
    N_nonhead: int
    forward_flops: int
    backward_flops: int
    N_frozen: int = 0
    pass_flops: int = 0

    def in_batches(self, batch: int) -> Counts:
        """Return the counts where a pass has `batch` examples, among which the FLOPs of a pass are divided."""
        share = self.pass_flops // batch if batch else 0  # a stage that trains nothing has no batch
        forward, backward = self.forward_flops + share, self.backward_flops + 2 * share
        return replace(self, forward_flops=forward, backward_flops=backward, pass_flops=0)

    def columns(self) -> dict[str, int]:
        """Return the counts of parameters by column."""
        found = {name: getattr(self, name) for name in COUNT_COLUMNS}
        return {name: value for name, value in found.items() if name != "N_frozen" or value}

    def C(self, D: int) -> int:
        """Training FLOPs of `D` examples by the field's convention (3 x forward)."""
        return TRAINING_PER_FORWARD * self.forward_flops * D

    def C_counted(self, D: int) -> int:
        """Training FLOPs of `D` examples as executed, forward and backward."""
        return (self.forward_flops + self.backward_flops) * D


COUNT_COLUMNS = tuple(field.name for field in fields(Counts) if not field.name.endswith("_flops"))


def count(layers: Sequence[Layer]) -> Counts:
    """Add up the layers of a model."""
    forward = sum(layer.forward_flops for layer in layers)
    first = sum(layer.forward_flops for layer in layers if layer.first)
    return Counts(
        N=sum(layer.weights * layer.repeat for layer in layers),
        N_total=sum((layer.weights + layer.others) * layer.repeat for layer in layers),
        N_body=sum(layer.weights * layer.repeat for layer in layers if layer.role == "body"),
        N_nonhead=sum(layer.weights * layer.repeat for layer in layers if layer.role != "head"),
        forward_flops=forward,
        backward_flops=2 * forward - first - sum(layer.unneeded * layer.repeat for layer in layers),
        N_frozen=sum(layer.frozen * layer.repeat for layer in layers),
        pass_flops=sum(layer.per_pass for layer in layers),
    )


def body_of(layers: Sequence[Layer]) -> Counts:
    """Count the layers below the head, for the cost of a frozen body's features."""
    return count([layer for layer in layers if layer.role != "head"])


def head_alone(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers for training only the head: all others are frozen and have no gradients."""
    return [
        replace(layer, unneeded=0 if layer.first else layer.forward_flops // layer.repeat)
        if layer.role == "head"
        else replace(
            layer,
            frozen=layer.weights + layer.others,
            unneeded=(1 if layer.first else 2) * layer.forward_flops // layer.repeat,
        )
        for layer in layers
    ]


def head_inputs(layers: Sequence[Layer], outputs: int) -> int | None:
    """Return the number of input features of a model's head, None if it has no head.

    Its matrices, if it has several, are taken for dense layers that follow each other.
    """
    features = outputs
    for layer in reversed(matrices := [layer for layer in layers if layer.role == "head" and layer.weights]):
        features = max(1, layer.weights // features)
    return features if matrices else None


def head_of_features(layers: Sequence[Layer]) -> list[Layer]:
    """Return the layers of a head that is trained on features: its first one reads the data."""
    head = [layer for layer in layers if layer.role == "head"]
    return [replace(layer, first=index == 0) for index, layer in enumerate(head)]


def closed_form_C(D: int, features: int, outputs: int) -> int:
    """FLOPs of a least-squares fit: the Gram matrix of `D` examples and its product with the targets."""
    return FLOPS_PER_MULTIPLY_ADD * D * features * (features + outputs)


def paper_C(counts: Counts, D: int, *, norm_elements: int) -> int:
    """Training compute as "Scaling MLPs" (arXiv 2306.13575) counts it: a multiply-add once, 5 per normalised element.

    norm_elements: elements that pass through a norm in one forward pass of one example (depth x width).
    """
    return TRAINING_PER_FORWARD * (counts.forward_flops // FLOPS_PER_MULTIPLY_ADD + 5 * norm_elements) * D
