"""Kept for jobs that version 0.1.0 submitted: their pickles look for DispatchFolder here."""

from scaling.dispatch.dispatches import DispatchFolder

__all__ = ["DispatchFolder"]
