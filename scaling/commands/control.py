"""`scaling cancel | retry | logs`: to steer a sweep and look into its runs."""

from __future__ import annotations
