"""Stages, the kinds of run: training from scratch, or what starts from another run. One file and one YAML each."""
