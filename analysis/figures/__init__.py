"""Figures: one file each, with one function that computes the numbers and one that draws them on given axes."""
