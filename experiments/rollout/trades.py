"""Every trade of a rollout: what was done, for which reason, at which prices, what it cost and
brought, and what the agent saw when it decided.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from agents import Agent
from agents.base import observed
from agents.reasons import WORDS
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t

# raw, of the asset
SEEN = (
    "funding_last",
    "funding_ewma_9",
    "funding_z",
    "funding_estimate",
    "basis",
    "volatility_7d",
    "net_carry",
)
# grow with the account
SCALED = (
    "spot_before",
    "spot_after",
    "perp_before",
    "perp_after",
    "filled_spot",
    "filled_perp",
    "traded",
    "fee",
    "result",
    "equity",
)
COLUMNS = (
    *(
        "time",
        "asset",
        "reason",
        "rule",
        "shortfall",
        "spot_before",
        "spot_after",
        "perp_before",
        "perp_after",
        "filled_spot",
        "filled_perp",
    ),
    *("spot_price", "perp_price", "traded", "fee", "result", "leverage", "equity", *SEEN),
)
FLAT = 1e-9  # base units per unit of quote equity: below it a position is nothing


class TradeLog:
    """Collects the trades of every environment of a batch, one row per asset and step in which
    something was filled or liquidated.

    Columns: `time` end of the step; `asset`; `reason`, the word of `_reason`; `rule`, what a rule
    says for itself; `shortfall`, why an order was not filled whole; positions before and after and
    fills [base units]; average fill prices [quote], nan without a fill; `traded`, the notional
    [quote, both legs]; `fee` [quote, paid], nan where several inverse contracts traded in the step,
    whose fees in coin the account books in one sum; `result`, see `with_results`; `leverage`, the
    target;
    `equity` after the step [quote]; and the observations of `SEEN` at the decision, in the units
    of the observation table.
    """

    def __init__(self, batch: Batch) -> None:
        self._columns = {name: observed(batch.observation_table, name) for name in SEEN}
        self._rows: list[list[dict[str, Any]]] = [[] for _ in range(batch.num_envs)]

    def before(self, batch: Batch, agent: Agent) -> None:
        """Keep what the step will change, and why the agent, which has just decided, wants it."""
        self._rule = None if agent.reasons is None else agent.reasons.copy()
        self._legs = batch.store.legs.copy()
        self._obs = batch.obs  # the batch writes the next ones elsewhere

    def after(self, batch: Batch, active: Any, step: int) -> None:
        """Note the trades of step number `step`, which the batch has just made, of the environments
        in `active` (n,).
        """
        legs, trades = batch.store.legs, batch.trades
        moved = (trades[:, :, t.TURNOVER] > 0) | (legs[:, :, t.LIQUIDATED] > 0)
        own = moved & np.asarray(active)[:, None]
        if not own.any():
            return
        fees = _fees(batch, moved)
        self._seen = {name: column.of(self._obs) for name, column in self._columns.items()}
        for i, a in np.argwhere(own).tolist():
            fee = float(fees[i, a])
            self._rows[i].append({"step": step, "fee": fee} | self._row(batch, i, a))

    def frame(self, env: int) -> pd.DataFrame:
        """The trades of one environment in order."""
        return pd.DataFrame(self._rows[env], columns=["step", *COLUMNS])

    def _row(self, batch: Batch, i: int, a: int) -> dict[str, Any]:
        before, after, trade = self._legs[i, a], batch.store.legs[i, a], batch.trades[i, a]
        row = int(batch.store.episode[i, t.ROW])
        path = int(batch.store.episode[i, t.PATH])
        values = {
            "time": pd.Timestamp(int(batch.market.close_ns[row]), tz="UTC"),
            "asset": batch.market.symbols[path][a],
            "reason": _reason(before, after, trade, FLAT * float(batch.store.account[i, t.EQUITY])),
            "rule": "" if self._rule is None else WORDS[int(self._rule[i, a])],
            "shortfall": ""
            if after[t.REASON] in (t.REASON_NONE, t.REASON_HOLD)
            else t.REASONS[int(after[t.REASON])],
            "spot_before": before[t.SPOT],
            "spot_after": after[t.SPOT],
            "perp_before": before[t.PERP],
            "perp_after": after[t.PERP],
            "filled_spot": trade[t.FILLED_SPOT],
            "filled_perp": trade[t.FILLED_PERP],
            "spot_price": trade[t.SPOT_VALUE] / trade[t.SPOT_QUANTITY]
            if trade[t.SPOT_QUANTITY] > 0
            else np.nan,
            "perp_price": trade[t.PERP_VALUE] / trade[t.PERP_QUANTITY]
            if trade[t.PERP_QUANTITY] > 0
            else np.nan,
            "traded": trade[t.TURNOVER],
            "leverage": after[t.TARGET_LEVERAGE],
            "equity": batch.store.account[i, t.EQUITY],
        }
        return values | {name: float(seen[i, a]) for name, seen in self._seen.items()}


def _fees(batch: Batch, moved: Any) -> Any:
    """Fees (n, A) [quote, paid] of the step that the batch has just made, by asset; `moved` (n, A)
    where an asset traded.

    What an account with one such asset has booked; with several, the same in proportion to the
    rates of the episode times what each leg traded.
    """
    booked = np.where(moved, -batch.ledger[:, t.FEES, None], 0.0)
    several = moved.sum(axis=1) > 1
    if not several.any():
        return booked
    if batch.inverse.any():
        return np.where(several[:, None] & moved, np.nan, booked)
    rules = batch.world.rules[batch.world.symbols[batch.store.episode[:, t.BOOK]]]
    rates = {
        name: rules[:, :, t.AssetRules._fields.index(name)] for name in ("fee_spot", "fee_perp")
    }
    scale = batch.store.params[:, t.Params._fields.index("fee_scale"), None]
    paid = scale * (
        rates["fee_spot"] * batch.trades[:, :, t.SPOT_VALUE]
        + rates["fee_perp"] * batch.trades[:, :, t.PERP_VALUE]
    )
    known = paid.sum(axis=1, keepdims=True)  # forced orders pay other rates
    total = -batch.ledger[:, t.FEES, None]
    paid = paid * np.divide(total, known, out=np.ones_like(known), where=known != 0.0)
    return np.where(several[:, None], paid, booked)


def with_results(book: pd.DataFrame, parts: Any, assets: int) -> pd.DataFrame:
    """The trades of one account with `result` instead of `step`: where a trade leaves the account
    flat, what the position brought since the account was flat before, in quote: all parts (T, 9) of
    those steps but the interest on cash. nan for other trades, and for accounts of several assets,
    whose funding and profits are booked in one sum.
    """
    result = np.full(len(book), np.nan)
    if assets == 1 and len(book):
        earned = np.cumsum(np.delete(np.asarray(parts), t.CASH_INTEREST, axis=1).sum(axis=1))
        dust = FLAT * book["equity"].abs()
        flat = ((book["spot_after"].abs() <= dust) & (book["perp_after"].abs() <= dust)).to_numpy()
        closing = np.flatnonzero(flat)
        at = book["step"].to_numpy(int)[closing]
        result[closing] = np.diff(earned[at], prepend=0.0)
    return book.assign(result=result)[list(COLUMNS)]


def _reason(before: Any, after: Any, trade: Any, dust: float) -> str:
    """One word or two for what moved the leg: the exchange, the margin keeper, an order left over
    from a liquidation, or the agent's decision.
    """
    if after[t.LIQUIDATED] > 0:
        return "liquidation"
    if trade[t.REQUESTED_SPOT] == 0 and trade[t.REQUESTED_PERP] == 0:
        return "after liquidation" if before[t.PENDING] != t.PENDING_NONE else "margin keeper"
    was, now = (float(leg[t.PERP]) if abs(leg[t.PERP]) > dust else 0.0 for leg in (before, after))
    if was == 0 or now == 0:
        if was == now:
            return "spot leg"
        return "exit" if now == 0 else "enter carry" if now < 0 else "enter reverse carry"
    if was * now < 0:
        return "turn around"
    return "increase" if abs(now) > abs(was) else "reduce" if abs(now) < abs(was) else "spot leg"
