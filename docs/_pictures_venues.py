"""The picture of two venues: an episode of the env on a made-up market."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from _picture_sheet import Theme, sheet
from matplotlib.figure import Figure
from numpy.typing import NDArray

from fundenv.envs.single import FundingHedgeEnv
from fundenv.market import (
    FAILURES,
    Market,
    build_market,
    fail_venue,
    joint,
    layout,
    synthetic_frames,
)

HOME, AWAY = "binance:BTCUSDT", "hyperliquid:BTC@binance:BTCUSDT"
BEGIN, FAILS, DAYS = "2020-03-01", "2020-03-12", 18


def venues(c: Theme) -> Iterator[Figure]:
    days, paid, lies = _episode(_market())
    ends = (pd.Timestamp(FAILS) - pd.Timestamp(BEGIN)).days
    frozen = FAILURES["ftx"].frozen_hours / 24.0
    with sheet(c, 5.2, nrows=2, sharex=True) as (figure, (above, below)):
        for k, (colour, words) in enumerate(((c.blue, "every 8 h"), (c.gold, "every hour"))):
            above.step(days, paid[:, k], where="post", color=colour, label=f"settles {words}")
        above.set_ylabel("funding so far,\n% of equity")
        above.legend(loc="upper left")
        names = ("at home", "on the second venue", "on its way")
        below.stackplot(days, lies.T, colors=(c.blue, c.gold, c.green), alpha=0.55, labels=names)
        below.set_ylabel("where the money lies,\n% of the start")
        below.set_xlabel("days")
        below.set_xticks(range(0, DAYS + 1, 2))
        below.set_ylim(0, 150)
        below.legend(loc="upper left", fontsize=9)
        for ax in (above, below):
            ax.axvspan(ends, ends + frozen, color=c.red, alpha=0.18, lw=0)
        above.text(ends - 0.2, above.get_ylim()[1] * 0.06, "no money\nleaves", ha="right")
        above.text(ends + frozen + 0.2, above.get_ylim()[1] * 0.06, "it fails")
        yield figure


def _market() -> Market:
    """One coin on two venues; the second one settles every hour, and fails."""
    coin = replace(synthetic_frames("btc", years=0.3, seed=4), symbol=HOME)
    eight = coin.funding.set_index("time")["rate"]
    hours = pd.DataFrame({"time": coin.perp["time"]})
    near = eight.reindex(hours["time"], method="bfill").ffill().to_numpy()
    wobble = np.random.default_rng(1).normal(0.0, 4e-6, len(hours))
    other = replace(coin, symbol=AWAY, funding=hours.assign(rate=near / 8.0 * 1.3 + wobble))
    market = joint(build_market([coin, other]), [HOME, AWAY])
    return fail_venue(market, "hyperliquid", FAILS)


def _episode(market: Market) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
    """(days, funding of each asset so far, money at home, there and on its way), per hour."""
    env = FundingHedgeEnv(
        market=market,
        actions="target",
        decision_interval="1h",
        episode=f"{DAYS}D",
        transfer_delay="8h",
        info=True,
    )
    start = int(np.searchsorted(market.times(0), pd.Timestamp(BEGIN, tz="UTC")))
    env.reset(seed=0, options={"path": 0, "start": start})
    full, hold = [0, 1.0, 1.0, 3.0], [1, 0.0, 0.0, 1.0]
    paid, lies, held = [np.zeros(2)], [[100.0, 0.0, 0.0]], np.zeros(2)
    for hour in range(24 * DAYS):
        action = (full if hour % 8 == 0 else hold) * 2
        _, _, ended, _, info = env.step(np.array(action, np.float32))
        row = market.bars[info["row"]]
        paid.append(paid[-1] - held * row[:, layout.SETTLE_PRICE] * row[:, layout.SETTLE_RATE])
        account, prices = info["account"], info["prices"]
        held = account["perp"]
        profit = account["perp"] * (prices["mark"] - account["entry"])
        there, sent = account["margin"][1] + profit[1], float(np.abs(account["sent"]).sum())
        at = np.array([info["equity"] - there - sent, there, sent])
        lies.append(list(100.0 * at / env.unwrapped.batch.config.initial_equity))
        if ended:
            break
    days = np.arange(len(paid)) / 24.0
    return days, 100.0 * np.array(paid) / env.unwrapped.batch.config.initial_equity, np.array(lies)
