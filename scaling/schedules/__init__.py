"""Learning-rate schedules: one file and one YAML each."""
