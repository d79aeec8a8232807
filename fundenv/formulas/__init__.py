"""The published formulas of the venues, as plain functions on numbers or arrays; README.md beside
this file lists them.
"""
