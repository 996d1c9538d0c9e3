"""Runs that were trained elsewhere: read from a table or an export, checked, and written as a sweep."""
