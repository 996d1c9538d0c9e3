"""Verdict on a fitted law: lack of fit, hold-out, the rule that combines them, and suggested remedies."""
