"""Claims on runs, the heartbeat that keeps them alive, and requests to stop a worker."""
