"""Scalar rules: the only place where money moves.

For users: the published formulas of the venues are plain functions on numbers or arrays, in the
modules `contract` (value, profit, bankruptcy), `position` (average entry, break-even, order cost),
`funding` (premium, rates, payments), `margin` (brackets, ratios, collateral), `liquidation`
(prices, procedures, deleveraging), `borrowing` (interest, margin level) and `fees`. README.md
beside this file lists every one.
"""
