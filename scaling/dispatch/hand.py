"""Where jobs that version 0.1.0 submitted look for LocalHand: their pickles name this module."""

from scaling.dispatch.local.worker import LocalHand

__all__ = ["LocalHand"]
