"""The slow account of inverse (coin-margined) contracts, written from section 15 of
`docs/specification.md` alone.

What differs from `ReferenceAccount`: `perp` is in quote (contracts x face), every asset has its own
pool of coins (free coins `spot`, a wallet, the unrealised profit), and profit, fees, funding and
maintenance are coin.
"""

from tests.oracle.inverse.account import InverseAccount

__all__ = ["InverseAccount"]
