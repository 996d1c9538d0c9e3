"""What is the user's own: code that configs may name, files that only they may write, jobs that run nothing else."""
