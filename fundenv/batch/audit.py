"""The audit trail of a step: everything needed to replay the account from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.dynamics import types as t
from fundenv.market import Market, layout


def audit(
    market: Market,
    account: t.Float64,
    legs: t.Float64,
    ledger: t.Float64,
    trades: t.Float64,
    displaced: t.Float64,
    rows: NDArray[np.int64],
) -> dict[str, Any]:
    """The info of n environments, arrays over the n (and the A assets).

    `time`: end of the step, datetime64[ns] UTC. `row`: its row in `Market.bars`. `equity` [quote].
    `parts`: the nine parts of the change of equity [quote]. `account`: cash [quote] and per asset
    spot [base], perp [base], entry [quote per base], margin [quote] (cross: the shared wallet
    of a venue stands at its first asset), sent [quote]: on its way to the wallet of another venue,
    below 0 on its way home; inverse contracts: perp in quote (contracts x face), margin in coin, a
    wallet for every asset. `prices`: spot, perp and mark at the close, average fill prices of the
    step (0 without a fill: a NaN would fail Gymnasium's checker). `trade`: units requested by the
    decision and filled in the whole step, reason of the last shortfall (where funds are short or a
    bracket limits, an excess leg may be reduced by more than was requested). `liquidated`: how
    often the venue closed the leg, or a part of it, during the step: liquidations (each round of a
    partial one counts) and auto-deleveragings (`adl_sigma`). `available`: whether the asset traded
    in the last bar of the step; not where it was halted, not listed yet or delisted.
    """
    bars = market.bars[rows]
    available: NDArray[np.bool_] = bars[:, :, layout.HALTED] <= layout.TRADED
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
            "sent": displaced[:, :, t.SENT].copy(),
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
        "available": available,
    }


def of_one(found: dict[str, Any]) -> dict[str, Any]:
    """The audit of one environment, from that of a batch of one: plain numbers, arrays over the A
    assets, the time as a text such as "2024-03-01T08:00:00Z", and a tuple of reasons.
    """
    return {key: _first(value) for key, value in found.items()}


def with_masks(found: dict[str, Any], told: NDArray[np.bool_]) -> dict[str, Any]:
    """The audit of a batch as Gymnasium's vector environments hand out infos: beside every key a
    mask `_key` (n,) of the environments that tell it; the entries of the others are zero.
    """
    masked: dict[str, Any] = {}
    for key, value in found.items():
        if isinstance(value, dict):
            masked[key] = with_masks(value, told)
        else:
            value[~told] = np.zeros((), value.dtype)
            masked[key] = value
        masked[f"_{key}"] = told.copy()
    return masked


def _first(value: Any) -> Any:
    if isinstance(value, dict):
        return of_one(value)
    item = value[0]
    if value.dtype.kind == "U":
        return tuple(item.tolist())
    if isinstance(item, np.datetime64):
        return f"{np.datetime_as_string(item, unit='s')}Z"
    return item.item() if isinstance(item, np.generic) else item
