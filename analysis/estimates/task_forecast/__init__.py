"""Forecasts in two steps: the loss of a run, then a task by its loss."""
