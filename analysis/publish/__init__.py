"""A sweep in one archive that is fit to publish: what it is made of, and nothing of who made it where."""
