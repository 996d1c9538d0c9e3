"""Many runs on this machine: a pool of workers with one queue."""
