"""Bringing examples to the device: resident, mapped from a file, or made as they are needed."""
