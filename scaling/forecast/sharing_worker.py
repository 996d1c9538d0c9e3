"""One of the processes that share a device for the probe: python -m scaling.forecast.sharing_worker DEVICE

For each line of its input, a number of seconds, it trains a small model for so long and prints the number of steps.
"""

from __future__ import annotations

import sys
from time import perf_counter

import torch

from scaling.forecast.probe import small_trainer
from scaling.forecast.timing.shapes import SHARED

AT_ONCE = 16  # steps between two readings of the clock


def main(device: str) -> None:
    """Train for the seconds in each line of stdin, and print the number of steps after each."""
    torch.set_num_threads(1)
    trainer = small_trainer(SHARED, torch.device(device))
    trainer.advance(trainer.step + 4 * AT_ONCE, lambda: True)
    for line in sys.stdin:
        until, begun = perf_counter() + float(line), trainer.step
        while perf_counter() < until:
            trainer.advance(trainer.step + AT_ONCE, lambda: True)
        print(trainer.step - begun, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
