"""Margin carry whose parameters are learned: set for every coin and state by a few weights."""
