"""A synthetic market whose funding, returns and basis have the measured statistics of the real one. Numbers: `fundenv.market.presets`.

Funding is a Gaussian latent process (a sum of AR(1) parts whose slow one is fed by returns) put through the measured quantiles; the basis
is the premium which that rate implies through the clamp, plus white Student noise and a shock after crashes; returns are GJR-GARCH with
Student innovations and jumps. The frames pass through the same checks, alignment and features as files do.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from fundenv.market import presets as p
from fundenv.market.build import build_market
from fundenv.market.frames import GENERATED, HOUR_NS, SymbolFrames, to_ns
from fundenv.market.market import Market
from fundenv.market.split import stack

Array = NDArray[np.float64]
_YEAR_HOURS = 8760.0
_SETTLE_HOURS = 8
_LEAD_DAYS = 36  # before `start`, so that the features of the first bar are complete


class _Returns(NamedTuple):
    log_return: Array  # (n,)
    sigma: Array  # (n,) conditional sd without jumps
    shock: Array  # (n,) standardised innovation


def synthetic_market(
    preset: str = "btc",
    *,
    years: float = 3.0,
    paths: int = 1,
    seed: int = 0,
    venue: str = "binance",
    start: str = "2020-01-01",
    bar_hours: int = 1,
) -> Market:
    """`paths` independent histories of `years` from `start`, named SYNTH-BTC-0, SYNTH-BTC-1, ..

    Path k depends on (seed, k) alone, so that more paths leave the first ones as they were. `venue` gives the funding constants of the
    running estimate. Raises `ValueError` as `synthetic_frames` does, and for paths < 1.
    """
    if paths < 1:
        raise ValueError(f"paths = {paths}; expected at least 1")
    first = pd.Timestamp(to_ns(start), tz="UTC")
    markets = []
    for path in range(paths):
        frames = synthetic_frames(
            preset,
            years=years + _LEAD_DAYS / 365.0,
            seed=(seed, path),
            start=str(first - pd.Timedelta(days=_LEAD_DAYS)),
            bar_hours=bar_hours,
            symbol=f"{GENERATED}{preset.upper()}-{path}",
        )
        markets.append(build_market([frames], venue=venue, start=str(first)))
    return stack(markets)


def synthetic_frames(
    preset: str = "btc",
    *,
    years: float = 3.0,
    seed: int | Sequence[int] = 0,
    start: str = "2020-01-01",
    bar_hours: int = 1,
    symbol: str | None = None,
) -> SymbolFrames:
    """Tables of one synthetic symbol (years of 365 days from `start`, a midnight UTC), settled every 8 h.

    Raises `ValueError` for an unknown preset, a span under a day or bars that do not divide 8 h.
    """
    if preset not in p.PRESETS:
        raise ValueError(f"preset {preset!r}; expected one of {', '.join(p.PRESETS)}")
    if bar_hours not in (1, 2, 4, 8):
        raise ValueError(f"bar_hours = {bar_hours!r}; expected 1, 2, 4 or 8")
    settlements = round(years * _YEAR_HOURS / _SETTLE_HOURS)
    if settlements < 3:
        raise ValueError(f"years = {years!r}; expected at least a day (0.003)")
    coin = p.PRESETS[preset]
    rng = Generator(PCG64(list(seed) if isinstance(seed, Sequence) else seed))
    returns = _returns(rng, settlements * _SETTLE_HOURS, coin)
    rate, premium = _funding(rng, returns, coin)
    last, mark = _basis(rng, premium, returns, coin)
    tables = _tables(rng, returns, last, mark, coin)
    origin = to_ns(start)
    opens = origin + np.arange(len(last)) * HOUR_NS
    instants = origin + np.arange(settlements + 1) * _SETTLE_HOURS * HOUR_NS
    perp, spot, marks = (_merged(tables[kind], opens, bar_hours) for kind in ("perp", "spot", "mark"))
    funding = pd.DataFrame({"time": _utc(instants), "rate": rate})
    return SymbolFrames(symbol=symbol or f"{GENERATED}{preset.upper()}", funding=funding, perp=perp, spot=spot, mark=marks)


def _returns(rng: Generator, n: int, coin: p.Preset) -> _Returns:
    """Hourly log returns of mean zero and the preset's annual volatility."""
    jump_hour = p.JUMPS_A_YEAR / _YEAR_HOURS
    jump_variance = jump_hour * (p.JUMP_SD**2 + p.JUMP_MEAN**2)
    variance = coin.annual_vol**2 / _YEAR_HOURS - jump_variance
    shock = rng.standard_t(p.GARCH_NU, n) / np.sqrt(p.GARCH_NU / (p.GARCH_NU - 2.0))
    omega = variance * (1.0 - p.GARCH_ALPHA - p.GARCH_GAMMA / 2.0 - p.GARCH_BETA)
    h, path = variance, []
    for z in shock.tolist():
        path.append(h)
        h = omega + h * (p.GARCH_BETA + z * z * (p.GARCH_ALPHA + (p.GARCH_GAMMA if z < 0.0 else 0.0)))
    sigma = np.sqrt(path)
    jumps = (rng.random(n) < jump_hour) * rng.normal(p.JUMP_MEAN, p.JUMP_SD, n) - jump_hour * p.JUMP_MEAN
    return _Returns(sigma * shock + jumps, sigma, shock)


def _funding(rng: Generator, returns: _Returns, coin: p.Preset) -> tuple[Array, Array]:
    """Settled rates (K + 1,) as fractions, the first one at the first bar's open, and the premium (K + 1,) of the interval before each."""
    blocks = returns.log_return.reshape(-1, _SETTLE_HOURS).sum(axis=1)
    scale = returns.sigma[::_SETTLE_HOURS] * np.sqrt(_SETTLE_HOURS)
    trend = np.r_[rng.standard_normal(), np.clip(blocks / scale, -3.0, 3.0)]
    latent = np.zeros(len(trend))
    for k, (weight, half_life) in enumerate(zip(coin.weights, coin.half_lives, strict=True)):
        shock = rng.standard_normal(len(trend))
        if k == len(coin.weights) - 1:
            shock = p.FEEDBACK * trend + np.sqrt(1.0 - p.FEEDBACK**2) * shock
        latent += np.sqrt(weight / sum(coin.weights)) * _ar1(shock, 2.0 ** (-1.0 / half_life), rng.standard_normal())
    probability = np.array([0.5 * erfc(-x * sqrt(0.5)) for x in latent.tolist()])
    bp = _through(probability, coin.quantiles)
    return bp * 1e-4, _premium(probability, bp, coin)


def _premium(probability: Array, rate_bp: Array, coin: p.Preset) -> Array:
    """The clamp inverted: interest - rate below it, the measured spread inside the flat range; bp."""
    flat = [prob for prob, value in coin.quantiles if value == p.INTEREST_BP]
    position = (probability - flat[0]) / (flat[-1] - flat[0])
    inside = _through(position, p.FLAT_PREMIUM)
    outside = rate_bp + np.where(rate_bp > p.INTEREST_BP, p.CLAMP_BP, -p.CLAMP_BP)
    return np.where(rate_bp == p.INTEREST_BP, inside, outside)


def _through(x: Array, knots: p.Knots) -> Array:
    """Linear interpolation of a table of (x, y)."""
    table = np.array(knots)
    return np.asarray(np.interp(x, table[:, 0], table[:, 1]), dtype=np.float64)


def _ar1(shock: Array, phi: float, first: float) -> Array:
    """AR(1) of unit variance driven by unit shocks."""
    value, path, gain = first, [], float(np.sqrt(1.0 - phi * phi))
    for e in shock.tolist():
        value = phi * value + gain * e
        path.append(value)
    return np.array(path)


def _basis(rng: Generator, premium: Array, returns: _Returns, coin: p.Preset) -> tuple[Array, Array]:
    """Basis at each hourly close as fractions, (n,) of the last price and (n,) of the mark price.

    The level reaches the interval's premium after the first hour, in which it stands half-way.
    """
    n = len(returns.log_return)
    level = np.repeat(premium[1:], _SETTLE_HOURS)
    level[::_SETTLE_HOURS] = 0.5 * (premium[:-1] + premium[1:])
    noise = rng.standard_t(p.NOISE_NU, n) * coin.noise_bp / np.sqrt(p.NOISE_NU / (p.NOISE_NU - 2.0))
    hit = -rng.uniform(*p.CRASH_BP, n) * (returns.log_return < p.CRASH_RETURN) * (rng.random(n) < p.CRASH_SHARE)
    decay, value, crash = 2.0 ** (-1.0 / p.CRASH_HALF_LIFE_HOURS), 0.0, []
    for push in hit.tolist():
        value = value * decay + push
        crash.append(value)
    shock = np.array(crash)
    return (level + noise + shock) * 1e-4, (level + p.MARK_NOISE * noise + p.MARK_CRASH * shock) * 1e-4


def _tables(rng: Generator, returns: _Returns, last: Array, mark: Array, coin: p.Preset) -> dict[str, pd.DataFrame]:
    """Hourly bars: each opens at the close before it; the range is that of a Brownian bridge with the hour's volatility."""
    n = len(last)
    edge = np.log(coin.price) + np.r_[0.0, np.cumsum(returns.log_return)]
    move, variance = returns.log_return, returns.sigma**2
    up, down = (-2.0 * variance * np.log1p(-rng.random(n)) for _ in range(2))
    high = np.exp(edge[:-1] + 0.5 * (move + np.sqrt(move**2 + up)))
    low = np.exp(edge[:-1] + 0.5 * (move - np.sqrt(move**2 + down)))
    price = np.exp(edge)
    spot = pd.DataFrame({"open": price[:-1], "high": high, "low": low, "close": price[1:]})
    spot["high"], spot["low"] = spot.max(axis=1), spot.min(axis=1)
    activity = p.VOLUME_VOL * np.log(returns.sigma / returns.sigma.mean()) + p.VOLUME_MOVE * (np.abs(returns.shock) - 0.75)
    activity += p.VOLUME_SD * _ar1(rng.standard_normal(n), p.VOLUME_AR, rng.standard_normal())
    tables = {"spot": spot, "perp": _shifted(spot, last), "mark": _shifted(spot, mark)}
    for name, median in (("spot", coin.spot_volume), ("perp", coin.perp_volume)):
        tables[name]["volume"] = median * np.exp(activity + 0.2 * rng.standard_normal(n))
    return tables


def _shifted(spot: pd.DataFrame, basis: Array) -> pd.DataFrame:
    """Bars of a price that stands `basis` (n,) from spot at each close."""
    before = np.r_[basis[0], basis[:-1]]
    factors = {"open": before, "high": np.maximum(before, basis), "low": np.minimum(before, basis), "close": basis}
    return pd.DataFrame({column: spot[column] * (1.0 + factor) for column, factor in factors.items()})


def _merged(table: pd.DataFrame, opens: NDArray[np.int64], bar_hours: int) -> pd.DataFrame:
    if bar_hours > 1:
        how = {"open": "first", "high": "max", "low": "min", "close": "last", "volume": "sum"}
        table = table.groupby(np.arange(len(table)) // bar_hours).agg({column: how[column] for column in table.columns})
        opens = opens[::bar_hours]
    return table.assign(time=_utc(opens))[["time", *table.columns]]


def _utc(ns: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(ns).tz_localize("UTC")
