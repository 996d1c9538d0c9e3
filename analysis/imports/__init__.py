"""Runs that were trained elsewhere, beside ours: read from a table or an export, checked, written as a sweep."""
