"""A sweep in a browser while it runs: its state, curves and report on one page on loopback."""
