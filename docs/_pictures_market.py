"""Pictures of what the market pays and takes: funding, carry, costs, loans, rewards, forecasts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from _picture_sheet import Theme, sheet
from matplotlib.figure import Figure

from fundenv.config import EnvConfig
from fundenv.dynamics.lending import KINK
from fundenv.forecast import HORIZONS, Predicted, make
from fundenv.market import synthetic_market
from fundenv.venues import load_venue


def funding(c: Theme) -> Iterator[Figure]:
    with sheet(c, 3.2) as (figure, ax):
        hours = np.arange(0, 73, 8)
        rates = np.array([1.0, 2.4, 3.1, 1.2, 0.4, -0.8, -1.6, -0.3, 0.9, 1.0])
        colours = [c.green if rate > 0 else c.red for rate in rates]
        ax.bar(hours, rates, width=4, color=colours)
        ax.axhline(0, color=c.soft, lw=1)
        ax.set_xticks(hours[::3], [f"{h} h" for h in hours[::3]])
        ax.set_ylabel("funding rate, bp per 8 h")
        ax.set_ylim(-2.6, 4.4)
        ax.text(8, 3.6, "rate > 0: longs pay shorts", color=c.green)
        ax.text(34, -2.3, "rate < 0: shorts pay longs", color=c.red)
        yield figure


def carry(c: Theme) -> Iterator[Figure]:
    with sheet(c, 3.4) as (figure, ax):
        rng = np.random.default_rng(4)
        days = np.arange(0, 91)
        price = 100 * np.exp(np.r_[0, rng.normal(0, 0.03, 90)].cumsum())
        spot, perp = price - 100, 100 - price
        earned = np.r_[0, np.maximum(rng.normal(0.03, 0.012, 90), 0)].cumsum()
        ax.plot(days, spot, color=c.green, label="spot leg")
        ax.plot(days, perp, color=c.red, label="perp leg")
        ax.plot(days, spot + perp + earned, color=c.blue, lw=2.4, label="both, with funding")
        ax.axhline(0, color=c.soft, lw=1)
        ax.set_xlabel("days")
        ax.set_ylabel("profit, % of the notional")
        ax.set_ylim(-22, 38)
        ax.legend(loc="upper left")
        yield figure


def costs(c: Theme) -> Iterator[Figure]:
    venue = load_venue("binance")
    sizes = np.logspace(-5, -1, 200)  # order over the volume of a day
    fee = venue.value("fees", "perp_taker") * 1e4
    spread = venue.value("execution", "half_spread_perp_bp", "BTCUSDT")
    impact = venue.value("execution", "impact_coefficient", "BTCUSDT") * 0.03 * np.sqrt(sizes) * 1e4
    with sheet(c, 3.3) as (figure, ax):
        ax.plot(sizes * 100, np.full_like(sizes, fee), color=c.blue, label="taker fee")
        ax.plot(sizes * 100, np.full_like(sizes, spread), color=c.gold, label="half-spread")
        ax.plot(sizes * 100, impact, color=c.red, label="impact at 3 % daily volatility")
        ax.set_xscale("log")
        ax.set_yscale("log")
        ax.set_ylim(0.03, 200)
        ax.set_xticks([0.001, 0.01, 0.1, 1, 10], ["0.001", "0.01", "0.1", "1", "10"])
        ax.set_yticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])
        ax.set_xlabel("order size, % of a day's volume")
        ax.set_ylabel("cost, bp of notional")
        ax.legend(loc="upper left")
        yield figure


def rewards(c: Theme) -> Iterator[Figure]:
    change = np.linspace(-0.06, 0.06, 201)
    growth = 1000 * np.log1p(change)
    gamma = EnvConfig().risk_aversion
    with sheet(c, 3.2) as (figure, ax):
        ax.plot(change * 100, growth, color=c.blue, label="log_growth")
        penalised = growth - 1000 * gamma / 2 * change**2
        ax.plot(change * 100, penalised, color=c.red, label="mean_variance")
        ax.plot(change * 100, np.zeros_like(change), color=c.green, label="expected")
        ax.axhline(0, color=c.soft, lw=0.8)
        ax.set_xlabel("price profit of one step from the basis, % of equity")
        ax.set_ylabel("reward, thousandths")
        ax.legend(loc="upper left")
        yield figure


def borrowing(c: Theme) -> Iterator[Figure]:
    config = EnvConfig()
    supply = config.base_supply
    with sheet(c, 3.3) as (figure, ax):
        for sigma, colour in ((0.05, c.green), (0.06, c.blue), (0.07, c.gold), (0.08, c.red)):
            lent = config.borrow_used * max(sigma / config.borrow_norm, 1.0)
            owed = np.linspace(0.0, supply * (1.0 - lent), 200)
            used = lent + owed / supply
            rate = config.borrow_steep * np.maximum(used - KINK, 0.0) / (1.0 - KINK)
            ax.plot(owed / 1e6, 100 * rate, color=colour, lw=1.8)
            ax.plot(owed[-1] / 1e6, 100 * rate[-1], "o", color=colour, ms=7)
            ax.text(owed[-1] / 1e6, 107, f"{100 * sigma:.0f} %", ha="center", color=colour)
        ax.text(1.05, 122, "daily volatility; at the dots nothing is left", ha="center")
        ax.set_ylim(-4, 134)
        ax.set_xlim(-0.05, 2.15)
        ax.set_yticks(range(0, 101, 20))
        ax.set_xlabel("what the account owes, million quote")
        ax.set_ylabel("rate above the venue's, % a year")
        yield figure


@cache
def _forecast() -> Predicted:
    market = synthetic_market("btc", years=2, seed=3)
    forecaster = make("clipped_har").fit(market, ("2020-01-01", "2021-06-01"))
    return forecaster.predict(market, ("2021-06-01", None))[0]


def forecasts(c: Theme) -> Iterator[Figure]:
    found, origin = _forecast(), 200
    days = np.array(HORIZONS) / 3.0
    with sheet(c, 3.5) as (figure, ax):
        past = np.arange(-60, 1) / 3.0
        ax.plot(past, found.target[origin - 61 : origin, 0], color=c.soft, lw=1.4, label="settled")
        low, below, _, above, high = found.quantiles[origin].T
        ax.fill_between(days, low, high, color=c.blue, alpha=0.18, lw=0, label="5 to 95 %")
        ax.fill_between(days, below, above, color=c.blue, alpha=0.35, lw=0, label="25 to 75 %")
        ax.plot(days, found.mean[origin], "o-", color=c.blue, ms=4, label="forecast")
        ax.plot(days, found.target[origin], "D", color=c.gold, ms=5, label="outcome")
        ax.axvline(0, color=c.soft, lw=1)
        ax.set_ylim(-1.2, 1.9)
        ax.set_xlabel("days from the forecast; mean rate up to there")
        ax.set_ylabel("funding rate, bp per 8 h")
        ax.legend(loc="upper left", ncols=2)
        yield figure
