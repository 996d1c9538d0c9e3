"""Experimental design: which runs to do next to narrow an interval most for their cost."""
