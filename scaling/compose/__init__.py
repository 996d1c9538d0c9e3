"""Hydra: find and compose configs and sweeps."""
