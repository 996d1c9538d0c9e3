"""From a sweep YAML to planned runs; pure: no clock, no machine, no data."""
