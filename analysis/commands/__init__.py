"""The verbs of the analysis, one file each."""
