"""Fitting one law: points, objective, solver, certificate, resamples, intervals, result."""
