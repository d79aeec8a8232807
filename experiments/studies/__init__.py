"""Studies for developers: `python -m experiments.studies.<name>`."""
