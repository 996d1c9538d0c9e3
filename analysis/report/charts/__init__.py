"""Figures as data for the page's script: the contents of axes, and the runs behind them."""
