"""Where jobs that version 0.1.0 submitted look for DispatchFolder: their pickles name this module."""

from scaling.dispatch.dispatches import DispatchFolder

__all__ = ["DispatchFolder"]
