"""Agents that need no training, or fit a few numbers to the training span."""
