"""From one YAML file to settled training runs: plan, dispatch, train, record."""

__version__ = "0.1.0"
