"""The jobs of a benchmark: training, evaluation, stress, and the log of trials."""
