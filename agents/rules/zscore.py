"""The z-score rule: carry while settled funding is far from its mean, with optional checks, sizes
and stops.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.base import observed
from agents.params import AgentError, Params, Range
from agents.rules.actions import HELD, targets
from agents.rules.base import BP_PER_YEAR, Rule
from agents.rules.loans import Loans
from agents.rules.memory import Array, Settled, Trades, Window
from agents.rules.zscore_reasons import Checks, Flags, State, reasons, zones
from fundenv.market.layout import SETTLE_PRICE

OBSERVED = 90  # settlements of the observation `funding_z`
LEAST = 2 * HELD  # share of full carry below which a position is not worth an order


@dataclass(frozen=True, kw_only=True)
class ZScoreParams(Params):
    """Parameters of the z-score rule. The defaults are the rule without checks; 0 switches a check
    off where the text says so.
    """

    # signal
    window: Annotated[int, Range(2, 2000, "settlements")] = 90
    """Number N of settled rates in the mean and the sample deviation."""
    entry: Annotated[float, Range(0, 20, "deviations")] = 2.5
    """Enter at |z| >= entry."""
    monitor: Annotated[float, Range(0, 20, "deviations")] = 1.5
    """From this |z| up to `entry` the rule watches the signal; after a stop it waits until |z| is
    lower.
    """
    exit: Annotated[float, Range(-20, 20, "deviations")] = 0.5
    """Leave at z < exit in the direction of the position; below `entry`."""
    two_sided: bool = False
    """Reverse carry (short spot, long perpetual) at z <= -entry too."""

    # confirmation
    rsi: Annotated[float, Range(0, 100, "points")] = 0.0
    """Smallest RSI over 4 h for carry; for reverse carry the largest is 100 - rsi (literature: 75);
    0: no check.
    """
    horizon: Annotated[float, Range(0, 1000, "8 h intervals")] = 0.0
    """Settlements in which funding is expected to return to its mean; until then it must pay
    `cost`; 0: no check.
    """
    cost: Annotated[float, Range(0, 1000, "bp of notional")] = 34.0
    """Cost of a round trip: on Binance taker fees of 2 x (5 + 10) and half-spreads of 4 x 1."""

    # size
    persistence: Annotated[float, Range(0, 1000, "settlements")] = 0.0
    """Settlements of one sign that give full confidence (literature: 5); 0: confidence is full."""
    doubt: Annotated[float, Range(0, 1, "of full size")] = 0.5
    """Size at zero confidence, as a part of the full size."""
    volatility: Annotated[float, Range(0, 20, "per square-root year")] = 0.0
    """Size x min(1, volatility / realised volatility over 30 days); 0: no scaling."""
    crowd: Annotated[float, Range(0, 100, "bp per 8 h")] = 0.0
    """Size x `crowd_size` when the mean funding of all symbols is at least this; 0: no cut."""
    crowd_size: Annotated[float, Range(0, 1, "of full size")] = 0.5
    """Factor on the size when funding is high everywhere (`crowd`)."""
    correlation: bool = False
    """Several assets: sizes / sqrt(1 + (A - 1) x mean correlation of their funding over the
    window).
    """
    risk: Annotated[float, Range(0, 1, "of equity")] = 0.01
    """Largest loss when `stop` is reached."""

    # ways out
    stop: Annotated[float, Range(0, 1, "of notional")] = 0.0
    """Leave at this loss; 0: no stop, and no risk budget."""
    invalidation: bool = True
    """Leave when the last settled rate has the sign that costs the position."""

    # position
    hedge: Annotated[float, Range(0, 1.5, "spot over perpetual")] = 1.0
    """Hedge ratio; 0 is the perpetual alone, without a hedge."""
    leverage: Annotated[float, Range(1, 125, "times")] = 3.0
    """Perpetual notional over perpetual wallet."""
    below: ClassVar = (("exit", "entry"),)


class ZScore(Rule):
    """Enters carry where the last settled rate is high for its last N settlements, by its z-score.

    z = (last settled rate - mean) / sample deviation of the last N settled rates. Flat, it enters
    carry at z >= entry where funding is positive (two-sided: reverse carry at z <= -entry where it
    is negative), if RSI confirms and expected funding pays the costs. In a position it leaves at z
    < exit, when funding turns, or at the stop; after a stop it waits until |z| < monitor. The size
    is fixed at entry.

    Rates are counted as they are observed, one per decision at most; until N have been seen
    `funding_z` (N = 90) stands in, and for N = 90 it always does. The loss that the stop looks at
    is what the account has lost since entry (since its last high, where that is later: gains beyond
    it cannot be seen), costs and funding included, over the notional of all legs. After `act`,
    `zones` and `states` (n, A) show the machine, `reasons` why it did what it did.
    """

    name = "zscore"
    parameters: ClassVar[type[ZScoreParams]] = ZScoreParams
    params: Any
    _settlements = 0  # of the longest path of the market that the rule is bound to

    def look_up(self, batch: Any) -> None:
        """Find the columns; warns where the window is longer than the data, for an agent that was
        made for longer ones acts there by the observed z-score.
        """
        table = batch.observation_table
        names = (
            "carry pending funding_z funding_last funding_ewma_90 funding_market"
            " funding_persistence rsi volatility_30d perp_weight"
        )
        self.column = {
            name: observed(table, name) for name in (*names.split(), "drawdown", "cash_rate")
        }
        self.loans = Loans(batch)
        self.settled, self.window, self.market_window, self.trades = (
            Settled(table),
            Window(),
            Window(),
            Trades(),
        )
        self.memories = [self.settled, self.window, self.market_window, self.trades]
        settles = batch.market.bars[:, :, SETTLE_PRICE] > 0
        self._settlements = max(
            int(settles[first:last].sum(axis=0).max()) for first, last in batch.market.paths
        )
        longest = self._too_long()
        if longest:
            warnings.warn(
                f"agent {self.name}: window = {longest} is longer than the data, which hold"
                f" {self._settlements} settlements; until so many have been seen, the z-score of"
                f" the last {OBSERVED} stands in",
                stacklevel=2,
            )

    def vary(self, values: Mapping[str, Any]) -> None:
        """See `Rule.vary`. `AgentError` for a window longer than the data, where it cannot be told
        from others.
        """
        super().vary(values)
        longest = self._too_long() if self._settlements else 0
        if longest:
            raise AgentError(
                f"agent {self.name}: window = {longest} is longer than the data, which hold"
                f" {self._settlements} settlements; set it within 2 .. {self._settlements}"
            )

    def _too_long(self) -> int:
        """The longest window, where it is longer than the data; 0 where none is."""
        longest = int(np.max(self.p.window))
        return longest if longest != OBSERVED and longest > self._settlements else 0

    def act(self, obs: NDArray[np.float32], *, deterministic: bool = True) -> NDArray[Any]:
        """The rule, for each asset on its own but for the cuts that look at all."""
        p = self.p
        see = {name: column.of(obs) for name, column in self.column.items()}
        self.loans.look(obs)
        z, mean, share = self.signal(obs, see)
        self.z = z
        rate, pending = see["funding_last"], see["pending"] != 0
        position = np.where(np.abs(see["carry"]) > HELD, np.sign(see["carry"]), 0.0)
        notional = np.abs(see["perp_weight"]).sum(axis=1, keepdims=True)
        stopped = self.trades.see(1.0 - see["drawdown"], position, notional, p.stop)
        cooling = self.trades.cool(stopped, np.abs(z) < p.monitor)
        gone = position * z < p.exit
        flipped = (position * rate < 0) & p.invalidation
        keep = (position != 0) & ~(gone | flipped | stopped)
        side = np.where(
            z >= p.entry, 1.0, np.where((z <= -np.asarray(p.entry)) & p.two_sided, -1.0, 0.0)
        )
        against = side * rate <= 0
        unconfirmed = ~self._confirmed(side, see)
        unpaid = ~self._pays(side, rate, mean, see)
        crowded = (np.asarray(p.crowd) > 0) & (side * see["funding_market"] >= p.crowd)
        size = self._size(see, crowded) * share
        barred = cooling | against | unconfirmed | unpaid | (size < LEAST)
        target = np.where(keep, position, np.where(barred, 0.0, side))
        hold = (target == position) | pending
        self.zones = zones(z, p)
        self.reasons = reasons(
            Checks(
                z,
                position,
                target,
                pending,
                keep,
                stopped,
                flipped,
                cooling,
                against,
                unconfirmed,
                unpaid,
                crowded,
            ),
            p,
        )
        self.states = np.where(cooling & (target == 0), State.COOLING, target).astype(np.int8)
        return targets(hold, target * size, hedge=p.hedge, leverage=p.leverage)

    def signal(
        self, obs: NDArray[np.float32], see: Mapping[str, NDArray[np.float32]]
    ) -> tuple[Array, Array, Any]:
        """(z, mean rate [bp per 8 h], factor on sizes for correlated assets), each (n, A) or a
        number.
        """
        p = self.p
        rate, new = self.settled.see(obs)
        mean, deviation, count = self.window.see(rate, new, p.window)
        known = count >= p.window
        own = np.divide(rate - mean, deviation, out=np.zeros_like(rate), where=deviation > 0)
        z = np.where(known & np.not_equal(p.window, OBSERVED), own, see["funding_z"])
        share: Any = 1.0
        if rate.shape[1] > 1 and np.any(p.correlation):
            settled = np.asarray(new.any(axis=1, keepdims=True))
            together = (
                self.market_window.see(rate.sum(axis=1, keepdims=True), settled, p.window)[1] ** 2
            )
            apart, whole = (
                (deviation**2).sum(axis=1, keepdims=True),
                deviation.sum(axis=1, keepdims=True) ** 2,
            )
            mixed = whole - apart
            common = np.clip(
                np.divide(together - apart, mixed, out=np.zeros_like(mixed), where=mixed > 0),
                0.0,
                1.0,
            )
            others = self.coins(obs, rate.shape[1]) - 1.0
            share = np.where(p.correlation, 1.0 / np.sqrt(1.0 + others * common), 1.0)
        return z, np.where(known, mean, see["funding_ewma_90"]), share

    def coins(self, obs: NDArray[np.float32], assets: int) -> Any:
        """How many assets share the risk: a number, or (n, 1)."""
        return assets

    def parts(self, assets: int) -> int:
        """Parts of the capital of which a carry is a share."""
        return assets

    def _confirmed(self, side: Array, see: Mapping[str, NDArray[np.float32]]) -> Flags:
        return np.asarray(
            (side * see["rsi"] >= np.asarray(self.p.rsi) - 50.0) | np.equal(self.p.rsi, 0)
        )

    def _pays(
        self, side: Array, rate: Any, mean: Array, see: Mapping[str, NDArray[np.float32]]
    ) -> Flags:
        """Whether funding, expected to go from here to its mean in a straight line, pays hurdle and
        costs within the horizon.
        """
        p = self.p
        leverage = np.asarray(p.leverage)
        owed = p.hedge * leverage / (1.0 + leverage) / self.parts(side.shape[1])
        hurdle = (
            np.where(
                side > 0,
                see["cash_rate"] * (1.0 + leverage) / leverage,
                see["cash_rate"] / leverage + self.loans.coins(owed),
            )
            * BP_PER_YEAR
        )
        return np.asarray(
            (p.horizon * (side * 0.5 * (rate + mean) - hurdle) > p.cost) | np.equal(p.horizon, 0)
        )

    def _size(self, see: Mapping[str, NDArray[np.float32]], crowded: Flags) -> Array:
        """Share of full carry (n, A): confidence x volatility scale x crowd cut, within the risk
        budget.
        """
        p = self.p
        streak = np.abs(see["funding_persistence"]) / np.maximum(p.persistence, 1e-9)
        confidence = p.doubt + (1.0 - np.asarray(p.doubt)) * np.minimum(streak, 1.0)
        size = np.where(np.equal(p.persistence, 0), 1.0, confidence)
        calm = np.minimum(p.volatility / np.maximum(see["volatility_30d"], 1e-6), 1.0)
        size = (
            size
            * np.where(np.equal(p.volatility, 0), 1.0, calm)
            * np.where(crowded, p.crowd_size, 1.0)
        )
        leverage = np.asarray(p.leverage)
        # notional of full carry over equity
        full = leverage / (1.0 + leverage) / self.parts(size.shape[1])
        budget = np.where(
            np.equal(p.stop, 0), 1.0, p.risk / np.maximum(np.asarray(p.stop) * full, 1e-9)
        )
        return np.asarray(np.minimum(size, budget))
