"""Model families: one file and one YAML each."""
