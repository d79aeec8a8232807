"""Statistics and comparisons of finished rollouts."""
