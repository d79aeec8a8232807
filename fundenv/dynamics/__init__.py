"""Scalar rules: the only place where money moves. The published formulas of the venues, for users
and for these rules, are in `fundenv.formulas`.
"""
