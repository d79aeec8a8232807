"""Loops over environments: one semantics, several backends."""
