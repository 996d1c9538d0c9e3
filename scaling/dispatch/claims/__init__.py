"""Who trains a run: claims, the heartbeat that keeps them fresh, and how a worker is asked to stop."""
