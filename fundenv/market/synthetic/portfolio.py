"""Many synthetic coins on one clock, with a common factor in their funding, that are listed and
delisted.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator

from fundenv.market.join import listed
from fundenv.market.market import Market
from fundenv.market.synthetic import coins as p
from fundenv.market.synthetic.build import made_market

MOST_COINS = 32
# Loadings on the factor that the coins share, of returns and of both parts of funding. With them
# two coins correlate by about .7 in returns and .5 to .8 in settled rates, as BTC, ETH, XRP, LTC
# and ADA do on Binance, 2022-01 to 2025-06 (.62 to .85 and .55 to .74); those of the presets of
# single coins give less (.2 to .5), because these were fitted to the normal scores.
_MARKET, _SLOW, _FAST = 0.84, 0.98, 0.95
_WILDEST = (
    0.4  # a coin's rates lie between those of ETH and this share of the way to those of an alt
)
_SHORTEST_DAYS = 60.0  # a coin is listed for so long at least


def synthetic_portfolio(
    coins: int = 10,
    *,
    years: float = 3.0,
    paths: int = 1,
    seed: int = 0,
    late: float = 0.5,
    gone: float = 0.3,
    venue: str = "binance",
    start: str = "2020-01-01",
    bar_hours: int = 1,
    first_path: int = 0,
) -> Market:
    """`paths` histories of `coins` coins on one clock: BTC, ETH and other synthetic coins,
    SYNTH-BTC-0, SYNTH-ETH-0, SYNTH-ALT-0, SYNTH-ALT2-0, ..

    Of the others a share `late` is listed at a random time within the first 60 % of the span, and a
    share `gone` delisted at a random time later (`fundenv.market.joint` says what the market then
    holds). These times depend on `seed` and the path, and on no price: a delisting comes without
    warning. Path k and coin c depend on (seed, k, c) alone. The other arguments are those of
    `synthetic_market`. Raises `ValueError` for numbers out of range.
    """
    if not 2 <= coins <= MOST_COINS:
        raise ValueError(f"coins = {coins}; expected 2 .. {MOST_COINS}")
    market = made_market(
        portfolio_coins(coins, seed),
        years=years,
        paths=paths,
        seed=seed,
        venue=venue,
        start=start,
        bar_hours=bar_hours,
        first_path=first_path,
    )
    return come_and_go(market, late=late, gone=gone, seed=seed, first_path=first_path)


def portfolio_coins(coins: int, seed: int) -> list[p.Preset]:
    """BTC, ETH and others whose volatility, rates, half-lives and size are drawn, coin c from
    (seed, c) alone.
    """
    btc, eth, alt = (
        p.PRESETS[name]._replace(slow_market=_SLOW, fast_market=_FAST)
        for name in ("btc", "eth", "alt")
    )
    made = [btc, eth]
    for coin in range(2, coins):
        rng = Generator(PCG64([seed, coin, 7]))
        wild, size = rng.uniform(0.0, _WILDEST), np.exp(rng.normal(0.0, 1.0))
        knots = tuple(
            (at, (1.0 - wild) * low + wild * high)
            for (at, low), (_, high) in zip(eth.quantiles, alt.quantiles, strict=True)
        )
        made.append(
            alt._replace(
                quantiles=knots,
                slow_half_life=float(rng.uniform(70.0, 130.0)),
                annual_vol=float(rng.uniform(0.7, 1.1)),
                market=_MARKET,
                price=float(np.exp(rng.uniform(-2.0, 5.0))),
                perp_volume=float(alt.perp_volume * size),
                spot_volume=float(alt.spot_volume * size),
            )
        )
    return made


def come_and_go(
    market: Market, *, late: float, gone: float, seed: int, first_path: int = 0
) -> Market:
    """A joint market whose coins, but the first two, come late and go early in the shares `late`
    and `gone`, drawn for each path; the numbers of paths begin with `first_path`.
    """
    for name, share in (("late", late), ("gone", gone)):
        if not 0.0 <= share <= 1.0:
            raise ValueError(f"{name} = {share!r}; expected a share within 0 .. 1")
    if late == gone == 0.0 or market.n_assets < 3:
        return market
    spans: dict[str, tuple[pd.Timestamp, pd.Timestamp]] = {}
    for path, names in enumerate(market.symbols):
        spans |= _spans(names, market.times(path), late, gone, (seed, first_path + path))
    return listed(market, spans)


def _spans(
    names: Sequence[str], times: pd.DatetimeIndex, late: float, gone: float, key: tuple[int, int]
) -> dict[str, tuple[pd.Timestamp, pd.Timestamp]]:
    """Start and end (excluded) of the listing of each coin."""
    begin, end = times[0], times[-1] + pd.Timedelta(hours=1)
    whole, shortest = end - begin, pd.Timedelta(days=_SHORTEST_DAYS)
    spans = {}
    for coin, name in enumerate(names[2:]):
        rng = Generator(PCG64([*key, coin, 8]))
        comes, goes, when, until = rng.random(4).tolist()
        first = begin + (0.6 * when * whole if comes < late else 0.0 * whole)
        last = first + shortest + until * (end - first - shortest) if goes < gone else end
        spans[name] = first.ceil("h"), max(min(last, end), first + shortest).ceil("h")
    return spans
