"""Other verbs: check a machine, time models, write schemas for editors, clean up."""
