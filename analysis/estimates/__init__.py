"""From laws to decisions: frontier, isoFLOP valleys, allocation, forecasts, backtests, ratios."""
