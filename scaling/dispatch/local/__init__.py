"""Many runs on this machine: a pool of workers in front of one queue."""
