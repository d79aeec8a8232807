"""The jobs of a benchmark: training, evaluation, stress, comparison, log of trials."""
