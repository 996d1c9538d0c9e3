"""The runs of a sweep in the offline formats of other tools: curves, config, final numbers, fits as artifacts."""
