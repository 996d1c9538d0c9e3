"""Figures: one file each, a function that computes the numbers beside one that draws them on given axes."""
