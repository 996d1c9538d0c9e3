"""Where workers that version 0.1.0 submitted look for themselves: their pickles name this module."""

from scaling.dispatch.local.worker import LocalWorker as LocalHand

__all__ = ["LocalHand"]
