"""Where jobs that version 0.1.0 submitted look for SlurmHand: their pickles name this module."""

from scaling.dispatch.slurm.worker import SlurmHand

__all__ = ["SlurmHand"]
