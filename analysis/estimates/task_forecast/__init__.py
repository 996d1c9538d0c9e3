"""Forecasts in two steps: the loss of a run, then a task's response from its loss."""
