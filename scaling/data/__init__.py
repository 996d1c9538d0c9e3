"""Data sets: what each declares for planning, and how it is read or made."""
