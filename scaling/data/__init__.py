"""Data sets: their declarations for planning, and how they are read or generated."""
