"""Hydra: where configs and sweeps lie, and how they combine."""
