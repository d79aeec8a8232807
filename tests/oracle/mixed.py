"""The slow account of linear beside inverse contracts, written from paragraph 15.19 of
`docs/specification.md`: every asset by the paragraphs of its own kind.

What one asset does, the methods of `ReferenceAccount` and `InverseAccount` say; what is summed over
all of them stands here. Wallets stand at the first asset of each, so that the wallet of an inverse
asset has the asset's number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.oracle.inverse import InverseAccount
from tests.oracle.inverse.liquidation import InverseLiquidation
from tests.oracle.linear import ReferenceAccount

# what they do for an asset depends on the kind of that asset, their first argument
_OF_ASSET = (
    "_as_slip",
    "_basis_profit",
    "_book_leg",
    "_bracket_value",
    "_coin_worth",
    "_fill_leg",
    "_free_of_asset",
    "_gain",
    "_gone",
    "_gross",
    "_hedge_held",
    "_hedge_order",
    "_keep_wallet",
    "_liquidate_wallet",
    "_order_to_target",
    "_pays_in",
    "_perp_fill",
    "_settle_leg",
    "_sizes",
    "_trade_perp",
    "_unhedged",
    "_value",
)


class MixedAccount(InverseAccount):
    """The account of one episode with contracts of both kinds."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # spec 15.2: an inverse asset has a wallet of its own
        owners = [
            rules.perp_venue if not self.isolated and not rules.inverse else a
            for a, rules in enumerate(self.rules)
        ]
        self.wallets = [
            [b for b in range(self.n) if owners[b] == owners[a]]
            if owners.index(owners[a]) == a
            else []
            for a in range(self.n)
        ]
        self.away = [
            self.config.transfer_delay is not None and not rules.at_home for rules in self.rules
        ]

    def _in_coins(self, w: int) -> bool:
        return self.rules[w].inverse

    def equity_at(self, spot_prices: list[float], marks: list[float]) -> float:
        equity = self.cash + sum(map(abs, self.sent))
        for a, (leg, spot, mark) in enumerate(zip(self.legs, spot_prices, marks, strict=True)):
            if self.rules[a].inverse:
                equity += self._coins(a, mark) * spot
            else:
                equity += leg.spot * spot + leg.unrealised(mark) + self.margin[a]
        return equity

    def _keep(self, busy: set[int], equity: float) -> set[int]:
        return super(InverseLiquidation, self)._keep(busy, equity)  # of linear contracts

    def _transfer(self, moved: set[int]) -> None:
        """Wallets in quote at home first, then those in coins, then what travels, spec 15.19."""
        self._set_wallets(moved)
        super()._transfer(moved)
        self._send_all(moved)

    def _free_of_wallet(
        self, w: int, members: list[int], orders: list[tuple[float, float]]
    ) -> float:
        if self._in_coins(w):
            return 0.0
        return super(InverseLiquidation, self)._free_of_wallet(w, members, orders)

    def _is_away(self, w: int) -> bool:
        return not self._in_coins(w) and super()._is_away(w)

    def _earn_away(self) -> None:
        for a, rules in enumerate(self.rules):
            rate = 0.0 if rules.inverse else rules.wallet_rate
            earned = max(self.margin[a], 0.0) * rate * self.years
            self.margin[a] += earned
            self.parts["cash_interest"] += earned

    def _wallet(self, a: int) -> int:
        return next(w for w, members in enumerate(self.wallets) if a in members)

    def _at_first(self, values: list[float]) -> np.ndarray[Any, Any]:
        return np.array(values)


def _by_kind(name: str) -> Any:
    def of_its_kind(self: MixedAccount, a: int, *rest: Any, **more: Any) -> Any:
        kind = InverseAccount if self.rules[a].inverse else ReferenceAccount
        return getattr(kind, name)(self, a, *rest, **more)

    return of_its_kind


for _name in _OF_ASSET:
    setattr(MixedAccount, _name, _by_kind(_name))
