"""Control of a sweep while it runs: cancel it, try failed runs again, read the logs of a run."""
