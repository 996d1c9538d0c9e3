"""How a fit and other results show themselves in a notebook: words, tables, and the figure that is drawn of a fit."""
