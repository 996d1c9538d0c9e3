"""Stages, the kinds of run: training from scratch, or starting from another run. One file and one YAML each."""
