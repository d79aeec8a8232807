"""Histories of correlated coins as plain arrays, many paths at once: returns, funding, basis, bars
and volumes.

The recipe: hourly returns are GJR-GARCH with Student-t shocks around a slow volatility, the time of
day and jumps; settled rates are the measured quantiles of a latent sum of autoregressions whose
slow shocks load on the return; the basis is the premium which that rate implies through the venue's
clamp, with noise and a reaction to crashes. Coins share a market factor in every one of these
shocks. The numbers stand in `fundenv.market.synthetic.coins`, with what they were fitted to.

A path is drawn from streams keyed (seed, path) for what the coins share and (seed, path, coin) for
what is each one's own. Arrays: P paths, A coins, M = P x A columns, n hours, K settlements of n /
8.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import erfc, sqrt
from typing import NamedTuple

import numpy as np
from numpy.random import PCG64, Generator
from numpy.typing import NDArray

from fundenv.market.synthetic import coins as p

Array = NDArray[np.float64]
YEAR_HOURS = 8760.0
SETTLE_HOURS = 8


class Histories(NamedTuple):
    """Simulated coins; every array has the coins of path 0, then those of path 1, .. in its last
    axis (M).
    """

    rate: Array  # (K + 1, M) settled rates, fractions; the first at the open of the first hour
    spot: Array  # (n, 4, M) open, high, low, close
    basis: Array  # (n, M) of the last price at the close, fraction
    mark_basis: Array  # (n, M) of the mark price
    spot_volume: Array  # (n, M) base units
    perp_volume: Array  # (n, M)


class _Returns(NamedTuple):
    move: Array  # (n, M) log returns
    sigma: Array  # (n, M) conditional deviation, without jumps
    shock: Array  # (n, M) standardised innovation


class Draws:
    """Random numbers of some paths: `common` gives each path one series for all its coins, `own`
    gives every coin its own.
    """

    def __init__(self, keys: Sequence[Sequence[int]], coins: int) -> None:
        self.coins = coins
        self._common = [Generator(PCG64([*key, 0])) for key in keys]
        self._own = [Generator(PCG64([*key, 1 + coin])) for key in keys for coin in range(coins)]

    def common(self, kind: str, *args: float) -> Array:
        """(size, M): the last argument is the size."""
        return np.repeat(self._draw(self._common, kind, args), self.coins, axis=1)

    def own(self, kind: str, *args: float) -> Array:
        """(size, M)."""
        return self._draw(self._own, kind, args)

    def shared(self, loading: Array, n: int) -> Array:
        """(n, M) standard normal numbers that load on those which the coins of a path share;
        loading (M,).
        """
        return loading * self.common("standard_normal", n) + np.sqrt(1.0 - loading**2) * self.own(
            "standard_normal", n
        )

    @staticmethod
    def _draw(streams: list[Generator], kind: str, args: tuple[float, ...]) -> Array:
        return np.column_stack([getattr(stream, kind)(*args) for stream in streams])


def simulate(
    coins: Sequence[p.Preset], settlements: int, keys: Sequence[Sequence[int]], first_hour: int = 0
) -> Histories:
    """One history of `settlements` x 8 hours of all `coins` for each key, such as (seed, path).
    first_hour: UTC hour of the first bar's open.
    """
    draws = Draws(keys, len(coins))
    n = settlements * SETTLE_HOURS

    def each(field: str) -> Array:
        return np.tile(
            np.array([getattr(coin, field) for coin in coins], dtype=np.float64), len(keys)
        )

    returns = _returns(draws, n, each, first_hour)
    rate, premium = _funding(draws, returns, coins, each)
    basis, mark_basis = _basis(draws, premium, returns, each("noise_bp"))
    return Histories(
        rate,
        _bars(draws, returns, each("price")),
        basis,
        mark_basis,
        *_volumes(draws, returns, each),
    )


def _returns(draws: Draws, n: int, each: p.Lookup, first_hour: int) -> _Returns:
    """Hourly log returns of mean zero and the presets' annual volatility."""
    scale, loading = each("annual_vol") / p.JUMP_VOL, each("market")
    jump_hour = p.JUMPS_A_YEAR / YEAR_HOURS
    variance = each("annual_vol") ** 2 / YEAR_HOURS - jump_hour * scale**2 * (
        p.JUMP_SD**2 + p.JUMP_MEAN**2
    )
    # one for all coins: they crash together
    mixing = np.sqrt((p.GARCH_NU - 2.0) / draws.common("chisquare", p.GARCH_NU, n))
    shock = draws.shared(loading, n) * mixing
    slow = p.SLOW_VOL_SD * _ar1(
        draws.common("standard_normal", -(-n // 24) + 1),
        2.0 ** (-24.0 / p.SLOW_VOL_HALF_LIFE_HOURS),
    )
    day = np.array(p.HOURS_OF_DAY) / np.sqrt(np.mean(np.square(p.HOURS_OF_DAY)))
    steady = (
        np.repeat(np.exp(slow[1:] - p.SLOW_VOL_SD**2), 24, axis=0)[:n]
        * day[(np.arange(n) + first_hour) % 24][:, None]
    )
    sigma = np.sqrt(_garch(shock) * variance) * steady
    jumps = draws.common("random", n) < jump_hour
    size = p.JUMP_MEAN + p.JUMP_SD * draws.shared(loading, n)
    return _Returns(sigma * shock + scale * (jumps * size - jump_hour * p.JUMP_MEAN), sigma, shock)


def _garch(shock: Array) -> Array:
    """Conditional variances (n, M) of mean 1 for standardised shocks (n, M)."""
    gain = p.GARCH_BETA + shock**2 * (p.GARCH_ALPHA + p.GARCH_GAMMA * (shock < 0.0))
    omega = 1.0 - p.GARCH_ALPHA - p.GARCH_GAMMA / 2.0 - p.GARCH_BETA
    path = np.empty_like(shock)
    path[0] = 1.0
    for t in range(1, len(path)):
        np.multiply(path[t - 1], gain[t - 1], out=path[t])
        path[t] += omega
    return path


def _ar1(shock: Array, phi: float | Array) -> Array:
    """AR(1) of unit variance (n, M) driven by unit shocks; the first shock is its start."""
    path = shock * np.sqrt(1.0 - np.square(phi))
    path[0] = shock[0]
    for t in range(1, len(path)):
        path[t] += phi * path[t - 1]
    return path


def _retained(half_life: Array) -> Array:
    """What an AR(1) of these half-lives [rows] keeps from one row to the next."""
    return np.array([2.0 ** (-1.0 / value) for value in half_life.tolist()])


def _decay(push: Array, half_life: float) -> Array:
    """Sum of past pushes (n, M), each halved every `half_life` rows."""
    phi, path = 2.0 ** (-1.0 / half_life), push.copy()
    for t in range(1, len(path)):
        path[t] += phi * path[t - 1]
    return path


def _funding(
    draws: Draws, returns: _Returns, coins: Sequence[p.Preset], each: p.Lookup
) -> tuple[Array, Array]:
    """Settled rates (K + 1, M) as fractions, the first one at the first bar's open, and the premium
    [bp] of the interval before each.
    """
    columns = returns.move.shape[1]
    blocks = returns.move.reshape(-1, SETTLE_HOURS, columns)
    spread = np.sqrt(_total((returns.sigma**2).reshape(blocks.shape)))
    count = len(blocks) + 2
    trend = np.clip(_total(blocks) / spread, -3.0, 3.0)
    slow, fast = draws.shared(each("slow_market"), count), draws.shared(each("fast_market"), count)
    for shock, load in ((slow, p.FEEDBACK), (fast, p.FAST_FEEDBACK)):
        shock[2:] = load * trend + np.sqrt(1.0 - load**2) * shock[2:]
    parts = [
        _ar1(shock, _retained(each(name)))[1:]
        for shock, name in ((fast, "fast_half_life"), (slow, "slow_half_life"))
    ]
    share = each("slow_share")
    latent = _normal(np.sqrt(1.0 - share) * parts[0] + np.sqrt(share) * parts[1])
    calm = _normal(
        (p.CALM * np.sqrt(1.0 - share) * parts[0] + np.sqrt(share) * parts[1])
        / np.sqrt(p.CALM**2 * (1.0 - share) + share)
    )
    rate, premium = np.empty_like(latent), np.empty_like(latent)
    for column in range(columns):
        knots = coins[column % len(coins)].quantiles
        rate[:, column] = _through(latent[:, column], knots)
        premium[:, column] = _premium(calm[:, column], rate[:, column], knots)
    return rate * 1e-4, premium


def _total(blocks: Array) -> Array:
    """Sum over the middle axis in its order: numpy's own order depends on the number of columns,
    and a path must not.
    """
    total = blocks[:, 0].copy()
    for k in range(1, blocks.shape[1]):
        total += blocks[:, k]
    return total


def _premium(calm: Array, rate_bp: Array, quantiles: p.Knots) -> Array:
    """The clamp inverted: rate -+ its half width outside the flat range; within it, where every
    premium settles the same rate, the calm level.
    """
    flat = [prob for prob, value in quantiles if value == p.INTEREST_BP]
    inside = _through((calm - flat[0]) / (flat[-1] - flat[0]), p.FLAT_PREMIUM)
    outside = rate_bp + np.where(rate_bp > p.INTEREST_BP, p.CLAMP_BP, -p.CLAMP_BP)
    return np.where(rate_bp == p.INTEREST_BP, inside, outside)


def _normal(x: Array) -> Array:
    """Standard normal distribution function."""
    return np.array([0.5 * erfc(-value * sqrt(0.5)) for value in x.ravel().tolist()]).reshape(
        x.shape
    )


def _through(x: Array, knots: p.Knots) -> Array:
    """Linear interpolation of a table of (x, y)."""
    table = np.array(knots)
    return np.asarray(np.interp(x, table[:, 0], table[:, 1]), dtype=np.float64)


def _basis(draws: Draws, premium: Array, returns: _Returns, noise_bp: Array) -> tuple[Array, Array]:
    """Basis at each hourly close as fractions, (n, M) of the last price and (n, M) of the mark
    price.

    The level reaches the interval's premium after the first hour, in which it stands half-way.
    """
    n = len(returns.move)
    level = np.repeat(premium[1:], SETTLE_HOURS, axis=0)
    level[::SETTLE_HOURS] = 0.5 * (premium[:-1] + premium[1:])
    noise = (
        draws.own("standard_t", p.NOISE_NU, n) * noise_bp / np.sqrt(p.NOISE_NU / (p.NOISE_NU - 2.0))
    )
    low, high = p.CRASH_BP
    hit = (returns.move < p.CRASH_RETURN) & (draws.common("random", n) < p.CRASH_SHARE)
    shock = -_decay((low + (high - low) * draws.own("random", n)) * hit, p.CRASH_HALF_LIFE_HOURS)
    return (level + noise + shock) * 1e-4, (
        level + p.MARK_NOISE * noise + p.MARK_CRASH * shock
    ) * 1e-4


def _bars(draws: Draws, returns: _Returns, price: Array) -> Array:
    """Spot bars (n, 4, M): each opens at the close before it; the range is that of a Brownian
    bridge with the hour's volatility.
    """
    n, columns = returns.move.shape
    edge = np.log(price) + np.vstack([np.zeros((1, columns)), np.cumsum(returns.move, axis=0)])
    move, twice = returns.move, -2.0 * returns.sigma**2
    up, down = (twice * np.log1p(-draws.own("random", n)) for _ in range(2))
    bars = np.empty((n, 4, columns))
    bars[:, 0], bars[:, 3] = np.exp(edge[:-1]), np.exp(edge[1:])
    bars[:, 1] = np.maximum(
        np.exp(edge[:-1] + 0.5 * (move + np.sqrt(move**2 + up))), bars[:, [0, 3]].max(axis=1)
    )
    bars[:, 2] = np.minimum(
        np.exp(edge[:-1] + 0.5 * (move - np.sqrt(move**2 + down))), bars[:, [0, 3]].min(axis=1)
    )
    return bars


def _volumes(draws: Draws, returns: _Returns, each: p.Lookup) -> tuple[Array, Array]:
    """Base units traded in each hour, (n, M) of spot and of the perpetual: more when prices move,
    with a memory of hours.
    """
    n = len(returns.move)
    activity = p.VOLUME_VOL * np.log(returns.sigma / (each("annual_vol") / np.sqrt(YEAR_HOURS)))
    activity += p.VOLUME_MOVE * (np.abs(returns.shock) - 0.75) + p.VOLUME_SD * _ar1(
        draws.own("standard_normal", n), p.VOLUME_AR
    )
    spot, perp = (
        each(f"{leg}_volume") * np.exp(activity + 0.2 * draws.own("standard_normal", n))
        for leg in ("spot", "perp")
    )
    return spot, perp
