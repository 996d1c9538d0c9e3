"""The cost of a model over training and use."""
