"""From laws to decisions: frontier, isoFLOP minima, allocation, forecasts, backtests, ratios."""
