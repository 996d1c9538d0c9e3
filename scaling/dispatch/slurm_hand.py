"""Kept for jobs that version 0.1.0 submitted: their pickles name this module."""

from scaling.dispatch.slurm.worker import SlurmJob as SlurmHand

__all__ = ["SlurmHand"]
