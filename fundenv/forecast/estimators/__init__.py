"""Forecasters without networks, one file each."""
