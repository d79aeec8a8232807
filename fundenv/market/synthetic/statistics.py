"""Stylised facts of a market: the statistics by which a synthetic history is compared with a real
one.

Measured on `Market` rows, so generated, resampled and recorded markets go through the same lines.
Halted bars and what touches them are left out.
"""

from __future__ import annotations

from statistics import NormalDist

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout
from fundenv.market.market import Market

Array = NDArray[np.float64]
LARGE_RETURN = 0.03
# changes of the basis are cut here: a few hours of a crash would make up their whole variance
BASIS_LIMIT_BP = 50.0
_TREND_HOURS = 72


def facts(market: Market, path: int = 0, asset: int = 0) -> dict[str, float]:
    """The stylised facts of one asset of one path; `MEANINGS` says what each is.

    Raises `ValueError` where the path has fewer than 100 settlements.
    """
    first, last = (int(edge) for edge in market.paths[path])
    bars = market.bars[first:last, asset]
    genuine = bars[:, layout.HALTED] == 0.0
    settled = np.flatnonzero(bars[:, layout.SETTLE_PRICE] > 0.0)
    settled = settled[settled > 0]
    if len(settled) < 100:
        raise ValueError(
            f"{'+'.join(market.symbols[path])}: {len(settled)} settlements; stylised facts need at"
            " least 100"
        )
    spot = np.where(genuine, bars[:, layout.SPOT_CLOSE], np.nan)
    basis = (np.where(genuine, bars[:, layout.PERP_CLOSE], np.nan) / spot - 1.0) * 1e4
    log_price = np.log(spot)
    move = _known(np.diff(log_price))
    # the close on whose instant it settles
    rate, before = (bars[settled, layout.SETTLE_RATE] * 1e4, settled - 1)
    change = np.clip(np.diff(basis[before]), -BASIS_LIMIT_BP, BASIS_LIMIT_BP)
    hours = market.bar_hours
    back = round(_TREND_HOURS / hours)
    trend = np.full(len(log_price), np.nan)
    trend[back:] = log_price[back:] - log_price[:-back]
    ahead = np.append(trend[back:], np.full(back, np.nan))
    return {
        "funding_mean": rate.mean(),
        "funding_sd": rate.std(),
        "funding_positive": (rate > 0.0).mean(),
        "funding_at_interest": (np.abs(rate - 1.0) < 1e-6).mean(),
        **{
            f"funding_lag{lag}": autocorrelation(rate, lag)
            for lag in (1, 3, 9, 90)
            if lag < len(rate)
        },
        "volatility": move.std() * np.sqrt(8760.0 / hours),
        "kurtosis": ((move - move.mean()) ** 4).mean() / move.var() ** 2,
        "abs_return_lag1": autocorrelation(np.abs(move), 1),
        "abs_return_lag24": autocorrelation(np.abs(move), round(24 / hours)),
        "large_moves": (np.abs(move) > LARGE_RETURN).mean() * 8760.0 / hours,
        "basis_median": float(np.nanmedian(basis)),
        "basis_change_sd": float(np.nanstd(change)),
        "basis_change_lag1": autocorrelation(change, 1),
        "funding_on_past_return": correlation(rate, trend[before]),
        "funding_on_next_return": correlation(rate, ahead[before]),
    }


MEANINGS = {
    "funding_mean": "mean settled rate, bp",
    "funding_sd": "standard deviation of the rate, bp",
    "funding_positive": "share of rates above 0",
    "funding_at_interest": "share of rates at exactly 1 bp",
    "funding_lag1": "autocorrelation of the rate, 1 settlement",
    "funding_lag3": "autocorrelation of the rate, 3 settlements",
    "funding_lag9": "autocorrelation of the rate, 9 settlements",
    "funding_lag90": "autocorrelation of the rate, 90 settlements",
    "volatility": "spot volatility per square-root year",
    "kurtosis": "kurtosis of returns of one bar",
    "abs_return_lag1": "autocorrelation of |return|, 1 bar",
    "abs_return_lag24": "autocorrelation of |return|, 24 hours",
    "large_moves": "bars a year with |return| above 3 %",
    "basis_median": "median basis, bp",
    "basis_change_sd": "sd of the 8 h change of the basis, bp, cut at 50",
    "basis_change_lag1": "autocorrelation of that change",
    "funding_on_past_return": "correlation of rate and past 3-day return",
    "funding_on_next_return": "correlation of rate and next 3-day return",
    "return_correlation": "correlation of returns",
    "funding_correlation": "correlation of settled rates",
    "latent_correlation": "correlation of their normal scores",
}


# What the generator's BTC is held to, and within which tolerance of the mean over 8 paths of 5
# years. Measured on Binance, BTC, 2022-2025.
TARGETS: tuple[tuple[str, float, float], ...] = (
    ("funding_mean", 0.66, 0.12),
    ("funding_sd", 0.87, 0.15),
    ("funding_positive", 0.87, 0.03),
    ("funding_at_interest", 0.32, 0.03),
    ("funding_lag1", 0.77, 0.05),
    ("funding_lag3", 0.64, 0.07),
    ("funding_lag9", 0.54, 0.07),
    ("funding_lag90", 0.20, 0.07),
    ("volatility", 0.56, 0.03),
    ("kurtosis", 13.0, 5.0),
    ("abs_return_lag1", 0.27, 0.03),
    ("abs_return_lag24", 0.16, 0.03),
    ("large_moves", 35.0, 12.0),
    ("basis_median", -3.9, 0.5),
    ("basis_change_sd", 2.4, 0.3),
    ("basis_change_lag1", -0.425, 0.075),
    ("funding_on_past_return", 0.24, 0.05),
    ("funding_on_next_return", 0.0, 0.04),
)
# The same for the assets of ("btc", "eth", "alt", "alt"), 4 paths of 3 years. Other coins: means of
# XRP, ADA and LTC.
PAIR_TARGETS: tuple[tuple[tuple[int, int], str, float, float], ...] = (
    ((0, 1), "return_correlation", 0.84, 0.03),
    ((0, 2), "return_correlation", 0.68, 0.04),
    ((1, 2), "return_correlation", 0.73, 0.06),
    ((0, 1), "latent_correlation", 0.73, 0.06),
    ((0, 2), "latent_correlation", 0.60, 0.08),
)


def pair_facts(market: Market, path: int = 0, assets: tuple[int, int] = (0, 1)) -> dict[str, float]:
    """Correlations between two assets of one path of a joint market."""
    first, last = (int(edge) for edge in market.paths[path])
    bars = market.bars[first:last][:, list(assets)]
    genuine = (bars[:, :, layout.HALTED] == 0.0).all(axis=1)
    move = np.diff(
        np.log(np.where(genuine[:, None], bars[:, :, layout.SPOT_CLOSE], np.nan)), axis=0
    )
    both = (bars[:, :, layout.SETTLE_PRICE] > 0.0).all(axis=1)
    rates = bars[both][:, :, layout.SETTLE_RATE]
    return {
        "return_correlation": correlation(move[:, 0], move[:, 1]),
        "funding_correlation": correlation(rates[:, 0], rates[:, 1]),
        "latent_correlation": correlation(normal_scores(rates[:, 0]), normal_scores(rates[:, 1])),
    }


def autocorrelation(x: Array, lag: int) -> float:
    """Autocorrelation of a series (n,); pairs with a NaN are left out."""
    return correlation(x[lag:], x[:-lag])


def correlation(x: Array, y: Array) -> float:
    """Correlation of two series (n,) over the entries that both have."""
    known = np.isfinite(x) & np.isfinite(y)
    return float(np.corrcoef(x[known], y[known])[0, 1])


def normal_scores(x: Array) -> Array:
    """Each entry's quantile of the standard normal distribution at its rank; equal entries share
    one rank.
    """
    rank = pd.Series(x).rank().to_numpy()
    inverse = NormalDist().inv_cdf
    return np.array([inverse(p) for p in (rank - 0.5) / len(x)])


def _known(x: Array) -> Array:
    return x[np.isfinite(x)]
