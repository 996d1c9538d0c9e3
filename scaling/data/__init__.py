"""Data sets: what each declares for a plan, and how it is read or made."""
