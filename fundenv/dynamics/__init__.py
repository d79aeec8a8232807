"""Scalar rules: the only place where money moves."""
