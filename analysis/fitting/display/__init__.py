"""How a fit shows itself in a notebook: its words, its tables, and the figure that is drawn of it."""
