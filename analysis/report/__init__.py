"""The report of a sweep: its laws, figures and tables on one page."""
