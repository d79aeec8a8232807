"""Agents that learn with RLlib on Ray."""
