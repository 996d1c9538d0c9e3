"""Training one run: config in, record out."""
