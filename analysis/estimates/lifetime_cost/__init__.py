"""The cost of a model over training and inference."""
