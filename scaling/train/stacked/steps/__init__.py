"""The steps of a stack: one step for all members, its inputs, gradients and launch."""
