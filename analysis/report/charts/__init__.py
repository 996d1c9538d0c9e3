"""Figures as data: what was drawn on axes, and the runs behind it, for the script of the page."""
