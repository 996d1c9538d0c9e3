"""Kept for workers that version 0.1.0 submitted: their pickles name this module."""

from scaling.dispatch.local.worker import LocalWorker as LocalHand

__all__ = ["LocalHand"]
