"""Forecasters trained by several clients that keep their data: secure sum, messages, models."""
