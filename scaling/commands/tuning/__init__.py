"""`scaling tune`: which keys can be tuned, the groups of runs that share an optimum, and the runs that try a value."""
