"""Display of fits and other results in a notebook: text, tables and the figure of a fit."""
