"""Forecasters that are networks, in torch, one file each."""
