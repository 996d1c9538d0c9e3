"""The steps of a stack: one step prepared for all members, what it reads, and how it is launched."""
