"""The precision of a run: of matrix products and convolutions on a GPU, and bf16 by autocast."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from scaling.config import RunConfig
from scaling.plan.identity import asked_precision, device_precision

TF32_CAPABILITY = (8, 0)  # of the first GPUs with TF32 (Ampere)


@contextmanager
def matmul_precision(precision: str) -> Iterator[None]:
    """Let torch use TF32 (factors with 10 bits of mantissa) only for `tf32`; restore its settings afterwards.

    By default torch uses TF32 for convolutions, but not for matrix products.
    """
    products, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(products)
        torch.backends.cudnn.allow_tf32 = convolutions


def autocast(config: RunConfig, device: torch.device) -> torch.autocast:
    """Return the context in which a run's module is called: torch's autocast, enabled only for bf16."""
    return torch.autocast(device.type, torch.bfloat16, enabled=asked_precision(config) == "bf16")


def computed_precision(config: RunConfig, device: torch.device) -> str:
    """Return the precision in which a device computes a run: fp32, tf32 or bf16."""
    has_tf32 = device.type == "cuda" and torch.cuda.get_device_capability(device) >= TF32_CAPABILITY
    return device_precision(config, has_tf32=has_tf32)
