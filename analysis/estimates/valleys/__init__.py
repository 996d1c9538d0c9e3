"""Loss against size at one compute budget: its curve and minimum, its misfit, and the skew that budgets share."""
