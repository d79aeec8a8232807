"""The audit trail of a step: everything needed to replay the account from outside."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.dynamics import types as t
from fundenv.market import Market, layout


def audit(
    market: Market,
    account: t.Float64,
    legs: t.Float64,
    ledger: t.Float64,
    trades: t.Float64,
    rows: NDArray[np.int64],
) -> dict[str, Any]:
    """The info of n environments, arrays over the n (and the A assets).

    `time`: end of the step, datetime64[ns] UTC. `row`: its row in `Market.bars`. `equity` [quote].
    `parts`: the nine parts of the change of equity [quote]. `account`: cash [quote] and per asset
    spot [base], perp [base], entry [quote per base], margin [quote] (cross: the shared wallet
    stands at asset 0); inverse contracts: perp in quote (contracts x face), margin in coin, a
    wallet for every asset. `prices`: spot, perp and mark at the close, average fill prices of the
    step (0 without a fill: a NaN would fail Gymnasium's checker). `trade`: units requested by the
    decision and filled in the whole step, reason of the last shortfall (where funds are short or a
    bracket limits, an excess leg may be reduced by more than was requested). `liquidated`: how
    often the venue closed the leg, or a part of it, during the step: liquidations (each round of a
    partial one counts) and auto-deleveragings (`adl_sigma`).
    """
    bars = market.bars[rows]
    fill_spot = trades[:, :, t.SPOT_VALUE] / np.where(
        trades[:, :, t.SPOT_QUANTITY] > 0, trades[:, :, t.SPOT_QUANTITY], 1.0
    )
    fill_perp = trades[:, :, t.PERP_VALUE] / np.where(
        trades[:, :, t.PERP_QUANTITY] > 0, trades[:, :, t.PERP_QUANTITY], 1.0
    )
    return {
        "time": market.close_ns[rows].astype("datetime64[ns]"),
        "row": rows.copy(),
        "equity": account[:, t.EQUITY].copy(),
        "parts": {name: ledger[:, part].copy() for part, name in enumerate(t.PARTS)},
        "account": {
            "cash": account[:, t.CASH].copy(),
            "spot": legs[:, :, t.SPOT].copy(),
            "perp": legs[:, :, t.PERP].copy(),
            "entry": legs[:, :, t.ENTRY].copy(),
            "margin": legs[:, :, t.MARGIN].copy(),
        },
        "prices": {
            "spot": bars[:, :, layout.SPOT_CLOSE],
            "perp": bars[:, :, layout.PERP_CLOSE],
            "mark": bars[:, :, layout.MARK_CLOSE],
            "fill_spot": fill_spot,
            "fill_perp": fill_perp,
        },
        "trade": {
            "requested_spot": trades[:, :, t.REQUESTED_SPOT].copy(),
            "requested_perp": trades[:, :, t.REQUESTED_PERP].copy(),
            "filled_spot": trades[:, :, t.FILLED_SPOT].copy(),
            "filled_perp": trades[:, :, t.FILLED_PERP].copy(),
            "reason": np.array(t.REASONS)[legs[:, :, t.REASON].astype(int)],
        },
        "liquidated": legs[:, :, t.LIQUIDATED].astype(int),
    }


class LazyInfo(dict[str, Any]):
    """The info of one environment, unpacked when it is first read: most training never looks, and
    building it costs more than the step.

    It behaves as the plain dict it turns into: see `audit` for the keys.
    """

    __slots__ = ("_source",)

    def __init__(self, market: Market, block: t.Float64, row: int) -> None:
        self._source: tuple[Market, t.Float64, int] | None = (market, block, row)

    def _unpack(self) -> None:
        if self._source is None:
            return
        market, block, row = self._source
        self._source = None
        assets = market.n_assets
        sizes = np.cumsum([t.N_ACCOUNT, assets * t.N_LEG, t.N_LEDGER])
        account, legs, ledger, trades = np.split(block, sizes)
        legs, trades = legs.reshape(1, assets, t.N_LEG), trades.reshape(1, assets, t.N_TRADE)
        full = audit(market, account[None], legs, ledger[None], trades, np.array([row]))
        for key, value in full.items():
            if not dict.__contains__(self, key):
                dict.__setitem__(self, key, _first(value))

    def __reduce__(self) -> Any:
        self._unpack()
        return dict, (dict(self.items()),)

    def copy(self) -> dict[str, Any]:
        """A plain dict."""
        return dict(self.items())


def _after_unpacking(name: str) -> Any:
    plain = getattr(dict, name)

    @functools.wraps(plain)
    def method(self: LazyInfo, *args: Any, **kwargs: Any) -> Any:
        self._unpack()
        return plain(self, *args, **kwargs)

    return method


# Everything a dict can be asked; only a plain assignment leaves it packed.
for _name in (
    *(
        "__contains__",
        "__delitem__",
        "__eq__",
        "__getitem__",
        "__ior__",
        "__iter__",
        "__len__",
        "__ne__",
        "__or__",
        "__repr__",
        "__reversed__",
        "__ror__",
    ),
    *("clear", "get", "items", "keys", "pop", "popitem", "setdefault", "update", "values"),
):
    setattr(LazyInfo, _name, _after_unpacking(_name))


def _first(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _first(item) for key, item in value.items()}
    item = value[0]
    if value.dtype.kind == "U":
        return tuple(item.tolist())
    if isinstance(item, np.datetime64):
        return pd.Timestamp(item, tz="UTC")
    return item.item() if isinstance(item, np.generic) else item
