"""What a user sets: one base with ranges, units and texts, one validator, tables, JSON schemas."""

from fundenv.settings.base import Form, Range, Settings, SettingsError, nearest, read_pairs
from fundenv.settings.describe import Row, describe, schema

__all__ = [
    "Form", "Range", "Row", "Settings", "SettingsError", "describe", "nearest", "read_pairs",
    "schema",
]  # fmt: skip
