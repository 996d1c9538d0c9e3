"""A sweep looked at while it runs: its state, its curves and its report, on one page on loopback."""
