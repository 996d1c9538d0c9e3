"""Optimisers: one file and one YAML each."""
