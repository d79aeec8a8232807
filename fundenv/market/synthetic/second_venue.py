"""A second venue for a made-up coin: a perpetual that settles every hour, whose premium moves with
the first venue's funding and has a persistent part and a fast part of its own.

    P = MEAN + SD x skewed(z),  z = LOADING x (first venue's rate, as a normal score) + own noise
    hourly rate = (P + clamp(1 bp - P, -5 bp, 5 bp)) / 8

Hyperliquid's rule, and what its settled rates of BTC and ETH were beside Binance's from 2024-01 to
2025-06 (`python -m experiments.studies.venue_facts` says how near the generator comes). No file
holds prices of that venue's perpetual: the basis that the premium names stands in.
"""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from fundenv.market.build import build_market
from fundenv.market.files.frames import GENERATED, SymbolFrames, floats, times_ns
from fundenv.market.join import joint
from fundenv.market.market import Market
from fundenv.market.split import stack
from fundenv.market.synthetic.build import shifted, synthetic_frames

Array = NDArray[np.float64]
_INTEREST, _CLAMP, _HOURS = 1.0, 5.0, 8.0  # bp per 8 h, bp, of Hyperliquid's rule


class Premium(NamedTuple):
    """What the hourly premium of the second venue was fitted to."""

    mean: float  # bp
    sd: float  # bp
    skew: float  # of the shifted lognormal; 0: normal
    loading: float  # on the first venue's rate
    slow: float  # share of the own variance that lasts for weeks
    slow_half_life: float  # hours
    fast_half_life: float  # hours


PREMIUMS = {
    "btc": Premium(2.6, 5.5, 0.1, 0.8, 0.45, 120.0, 5.0),
    "eth": Premium(1.9, 5.5, 0.08, 0.78, 0.4, 120.0, 5.0),
}
SIZE = 0.1  # volume over the first venue's: an assumption
NAMES = {
    "btc": ("binance:BTCUSDT", "hyperliquid:BTC@binance:BTCUSDT"),
    "eth": ("binance:ETHUSDT", "hyperliquid:ETH@binance:ETHUSDT"),
}


def synthetic_venues(
    presets: str | tuple[str, ...] = "btc",
    *,
    years: float = 1.0,
    paths: int = 1,
    seed: int = 0,
    start: str = "2024-01-01",
) -> Market:
    """`paths` accounts that can hold each coin on Binance and on Hyperliquid, on one clock: made-up
    histories of `years` from `start`, settled every 8 hours there and every hour here.

    presets: btc, eth or both. Path k depends on (seed, k) alone, and the coins of a path are
    independent of each other. The assets are called SYNTH-binance:BTCUSDT-0,
    SYNTH-hyperliquid:BTC@binance:BTCUSDT-0, .. and have those contracts' rules. Raises `ValueError`
    for an unknown preset, paths < 1, and as `synthetic_frames` does.
    """
    coins = (presets,) if isinstance(presets, str) else tuple(presets)
    for coin in coins:
        if coin not in PREMIUMS:
            raise ValueError(f"preset {coin!r}; expected of {', '.join(PREMIUMS)}")
    if paths < 1:
        raise ValueError(f"paths = {paths!r}; expected at least 1")
    made = []
    for path in range(paths):
        frames: list[SymbolFrames] = []
        for number, coin in enumerate(coins):
            keys = (seed, path, number)
            here, there = (f"{GENERATED}{name}-{path}" for name in NAMES[coin])
            first = synthetic_frames(coin, years=years, seed=keys, start=start, symbol=here)
            frames += [first, second_venue(first, there, PREMIUMS[coin], seed=keys)]
        market = build_market(frames, venue="binance")
        made.append(joint(market, [f.symbol for f in frames]))
    return stack(made)


def second_venue(
    first: SymbolFrames, symbol: str, premium: Premium, *, seed: int | tuple[int, ...] = 0
) -> SymbolFrames:
    """Tables of the coin `first` on a second venue, beside the same spot.

    first: hourly bars. symbol: what the asset is called. seed: of the venue's own noise.
    """
    keys = seed if isinstance(seed, tuple) else (seed,)
    rng = Generator(PCG64([*keys, 9]))
    opens = times_ns(first.perp)
    wave = _wave(first, opens, premium, rng)
    told = premium.mean + premium.sd * _skewed(wave, premium.skew)  # bp, mean of each hour
    rate = (told + np.clip(_INTEREST - told, -_CLAMP, _CLAMP)) / _HOURS * 1e-4
    basis = told * 1e-4
    closes = first.perp["time"] + pd.Timedelta("1h")
    spot = {k: floats(first.spot[k]) for k in ("open", "high", "low", "close")}
    perp = pd.DataFrame({"time": first.perp["time"], **shifted(spot, basis)})
    return replace(
        first,
        symbol=symbol,
        funding=pd.DataFrame({"time": closes, "rate": rate}),
        perp=perp.assign(volume=SIZE * floats(first.perp["volume"])),
        mark=perp,
        names={},
    )


def _wave(first: SymbolFrames, opens: NDArray[np.int64], premium: Premium, rng: Generator) -> Array:
    """z (n,): standard normal in the mean."""
    settled = times_ns(first.funding)
    at = np.minimum(np.searchsorted(settled, opens, side="right"), len(settled) - 1)
    rank = first.funding["rate"].rank(method="average", pct=True).to_numpy(float)
    score = _normal(np.clip(rank - 0.5 / len(rank), 1e-4, 1.0 - 1e-4))
    score = (score - score.mean()) / score.std()
    own = np.sqrt(premium.slow) * _noise(rng, len(opens), premium.slow_half_life)
    own += np.sqrt(1.0 - premium.slow) * _noise(rng, len(opens), premium.fast_half_life)
    return np.asarray(premium.loading * score[at] + np.sqrt(1.0 - premium.loading**2) * own)


def _normal(share: Array) -> Array:
    """Quantiles of the standard normal distribution."""
    return np.array([NormalDist().inv_cdf(float(p)) for p in share])


def _noise(rng: Generator, n: int, half_life: float) -> Array:
    """(n,) autoregression of unit variance."""
    kept = 0.5 ** (1.0 / half_life)
    found = rng.standard_normal(n)
    for k in range(1, n):
        found[k] = kept * found[k - 1] + np.sqrt(1.0 - kept**2) * found[k]
    return found


def _skewed(wave: Array, skew: float) -> Array:
    """A shifted lognormal variable of mean 0 and variance 1 out of a standard normal one."""
    if skew == 0.0:
        return wave
    grown = np.exp(skew * wave)
    mean, square = np.exp(0.5 * skew**2), np.exp(2.0 * skew**2)
    return np.asarray((grown - mean) / np.sqrt(square - mean**2))
