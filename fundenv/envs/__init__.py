"""Thin interfaces of a batch, one file per foreign API; nothing is imported here."""
