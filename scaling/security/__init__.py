"""Security: code that configs may name, files that only the user may write, jobs that run nothing else."""
