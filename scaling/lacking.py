"""Settled runs that lack a milestone which is asked for now: listed, and trained again only on request."""

from __future__ import annotations
