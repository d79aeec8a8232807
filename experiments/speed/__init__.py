"""Measurements of speed: `python -m experiments.speed.<name>`."""
