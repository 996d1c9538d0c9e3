"""Many runs on a cluster with SLURM: jobs, each with its share of the queue."""
