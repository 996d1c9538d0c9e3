"""Whether a fitted law is right: lack of fit, its own hold-out, the rule that weighs them, and what would help."""
