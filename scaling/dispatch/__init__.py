"""From a plan to settled runs: claims, workers, the local launcher, SLURM, and the state of it all."""
