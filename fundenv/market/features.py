"""Causal market features of one symbol: raw numbers in the units of `fundenv.market.table`.

Row r holds what was public when bar r closed. A settlement that falls on that very instant is not
in row r: row r holds the running estimate of it, and the settled rate enters row r + 1. NaN marks
rows whose look-back is not complete yet.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market import layout
from fundenv.market.files.bar_matrix import DAY_NS, Aligned
from fundenv.market.files.frames import HOUR_NS, contract_of, floats, times_ns
from fundenv.market.files.settlements import Settlements
from fundenv.venues import Venue, legs_of

Raw = dict[str, NDArray[np.float64]]
_YEAR_HOURS = 8760.0
_LOOK_BACK = 90  # settlements of the longest funding feature
_RSI_BARS = 14
_RSI_NS = 4 * HOUR_NS
EXTRA_AGE_NS = DAY_NS  # an extra value older than this counts as missing


def raw_features(aligned: Aligned, venue: Venue) -> Raw:
    """Every built-in feature except funding_market, each (T,)."""
    last = aligned.settlements.last(aligned.open_ns)
    return {
        **_funding(aligned.settlements, last),
        "funding_estimate": funding_estimate(aligned, venue),
        **_basis(aligned),
        "rsi": _rsi(aligned),
        **_returns(aligned),
        "volume_ratio": _volume_ratio(aligned),
        "spread_proxy": _spread(aligned),
        **_phase(aligned, last),
    }


def extra_features(aligned: Aligned, names: Mapping[str, float]) -> tuple[Raw, dict[str, int]]:
    """Extra columns at each close: last known value, at most 24 h old, else 0. Also how many closes
    had none.
    """
    raw: Raw = {}
    missing: dict[str, int] = {}
    for name in names:
        table = aligned.extras[name].dropna(subset=[name])
        stamps, close = times_ns(table), aligned.close_ns
        row = np.searchsorted(stamps, close, side="right") - 1
        fresh = (
            (row >= 0) & (close - stamps[np.maximum(row, 0)] <= EXTRA_AGE_NS)
            if len(stamps)
            else np.zeros(len(close), dtype=bool)
        )
        values = np.zeros(len(close))
        values[fresh] = floats(table[name])[row[fresh]]
        raw[name], missing[name] = values, int((~fresh).sum())
    return raw, missing


def _funding(settlements: Settlements, last: NDArray[np.int64]) -> Raw:
    """Features that change only when a rate is settled. The first settlement of a file, whose
    interval is unknown, is not used.
    """
    first = int(np.isnan(settlements.hours).sum())
    rate, hours = settlements.rate[first:], settlements.hours[first:]
    rate_8h = pd.Series(rate / (hours / 8.0) * 1e4)
    table: Raw = {"funding_last": floats(rate_8h)}
    for span in (3, 9, 21, 90):
        table[f"funding_ewma_{span}"] = floats(
            rate_8h.ewm(span=span, adjust=False, min_periods=span).mean()
        )
    clock = pd.DatetimeIndex(settlements.ns[first:])
    for days in (3, 14):
        complete = clock - clock[:1].repeat(len(clock)) >= pd.Timedelta(days=days)
        paid = (
            pd.Series(rate, clock).rolling(f"{days}D").sum()
            / pd.Series(hours, clock).rolling(f"{days}D").sum()
        )
        table[f"funding_fr{days}"] = np.where(complete, paid * _YEAR_HOURS, np.nan)
    table["funding_divergence"] = table["funding_fr3"] - table["funding_fr14"]
    table["funding_z"] = _z_score(floats(rate_8h))
    table["funding_persistence"] = _persistence(rate)
    return {name: _at(values, last - first) for name, values in table.items()}


def _at(values: NDArray[np.float64], index: NDArray[np.int64]) -> NDArray[np.float64]:
    """values[index], NaN where index < 0."""
    out = np.full(len(index), np.nan)
    known = index >= 0
    out[known] = values[index[known]]
    return out


def _z_score(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    out = np.full(len(rate), np.nan)
    if len(rate) >= _LOOK_BACK:
        window = np.lib.stride_tricks.sliding_window_view(rate, _LOOK_BACK)
        deviation = window.std(axis=1, ddof=1)
        deviation[np.ptp(window, axis=1) == 0.0] = np.inf
        out[_LOOK_BACK - 1 :] = (window[:, -1] - window.mean(axis=1)) / deviation
    return out


def _persistence(rate: NDArray[np.float64]) -> NDArray[np.float64]:
    sign = np.sign(rate)
    start = np.r_[True, sign[1:] != sign[:-1]]
    position = np.arange(len(rate))
    return sign * (position - np.maximum.accumulate(np.where(start, position, 0)) + 1)


def funding_estimate(aligned: Aligned, venue: Venue) -> NDArray[np.float64]:
    """The venue's formula on what is known so far, (T,) bp per 8 h.

    Premium P = mean of the closes' basis since the last settlement (weights 1, 2, .. where the
    venue has them); then the rule in force at the close. At a settlement instant it estimates the
    rate settled there; the next bar starts anew.
    """
    # here, because the formulas load numba, and `import fundenv.market` is to stay light
    from fundenv.formulas.premium import running_premium
    from fundenv.formulas.rates import rate_by_rule

    contract = legs_of(contract_of(aligned.symbol)).perp.symbol
    last = aligned.settlements.last(aligned.open_ns)
    hours = _at(aligned.settlements.hours, last)
    mean_rate = _at(
        floats(pd.Series(aligned.settlements.rate).rolling(8, min_periods=1).mean()), last
    )
    day = aligned.close_ns.astype("datetime64[ns]").astype("datetime64[D]")
    estimate = np.full(len(last), np.nan)
    for start in [
        np.datetime64("1970-01-01"),
        *(np.datetime64(date) for date in venue.changes(contract)),
    ]:
        if not (day >= start).any():
            continue
        date = start.astype(object)
        rule = venue.choice("funding", "rule", date)
        premium = running_premium(
            aligned.basis, last, "linear" if rule in ("binance", "bybit", "okx") else "equal"
        )
        interest, clamp, scaled = (
            venue.value("funding", key, date=date) for key in ("interest_8h", "clamp", "scaled")
        )
        rate = rate_by_rule(
            rule,
            premium,
            hours,
            interest,
            clamp,
            venue.value("funding", "cap", contract, date),
            bool(scaled),
            mean_rate,
        )
        estimate = np.where(day >= start, rate / (hours / 8.0) * 1e4, estimate)
    return estimate


def _basis(aligned: Aligned) -> Raw:
    basis = pd.Series(aligned.basis * 1e4)
    mean = basis.rolling(_bars(aligned, 7)).mean()
    return {"basis": floats(basis), "basis_deviation": floats(basis - mean)}


def _rsi(aligned: Aligned) -> NDArray[np.float64]:
    """Taken at the closes that fall on whole 4 h of the UTC day, held in between; on every close
    where bars are longer or do not fit.
    """
    fits = _RSI_NS % aligned.bar_ns == 0 and (aligned.open_ns[0] % aligned.bar_ns) == 0
    due = aligned.close_ns % _RSI_NS == 0 if fits else np.ones(len(aligned.open_ns), dtype=bool)
    change = pd.Series(aligned.bars[due, layout.SPOT_CLOSE]).diff().iloc[1:]
    gain, loss = (
        part.ewm(alpha=1.0 / _RSI_BARS, adjust=False, min_periods=_RSI_BARS).mean()
        for part in (change.clip(lower=0), -change.clip(upper=0))
    )
    total = gain + loss
    index = (100.0 * gain / total - 50.0).mask(total == 0.0, 0.0)
    return _at(np.r_[np.nan, index.to_numpy()], np.cumsum(due) - 1)


def _returns(aligned: Aligned) -> Raw:
    price = pd.Series(np.log(aligned.bars[:, layout.SPOT_CLOSE]))
    squared = price.diff() ** 2
    raw: Raw = {}
    for days in (1, 7, 30):
        variance = squared.rolling(_bars(aligned, days)).mean().clip(lower=0.0)
        raw[f"volatility_{days}d"] = floats(
            np.sqrt(variance * _YEAR_HOURS * HOUR_NS / aligned.bar_ns)
        )
    for days in (1, 3, 7, 14):
        raw[f"return_{days}d"] = floats(price.diff(_bars(aligned, days)))
    return raw


def _volume_ratio(aligned: Aligned) -> NDArray[np.float64]:
    turnover = pd.Series(aligned.turnover)
    day = turnover.rolling(_bars(aligned, 1)).sum().clip(lower=0.0)
    month = turnover.rolling(_bars(aligned, 30)).sum() / 30.0
    with np.errstate(divide="ignore"):
        ratio = np.maximum(np.log(day / month.where(month > 0.0, 1.0)), -1e3)
    return np.where(month > 0.0, ratio, np.where(month.isna(), np.nan, 0.0))


def _spread(aligned: Aligned) -> NDArray[np.float64]:
    mean = pd.Series(aligned.spread).rolling(_bars(aligned, 1)).mean()
    return floats(mean * 1e4 / np.sqrt(aligned.bar_ns / HOUR_NS))


def _phase(aligned: Aligned, last: NDArray[np.int64]) -> Raw:
    """One turn from the last settlement over the interval that it closed; the phase stays at a full
    turn once it is overdue.
    """
    since = _at((aligned.settlements.ns / HOUR_NS), last)
    turn = np.minimum(
        (aligned.close_ns / HOUR_NS - since) / _at(aligned.settlements.hours, last), 1.0
    )
    return {"settlement_sin": np.sin(2 * np.pi * turn), "settlement_cos": np.cos(2 * np.pi * turn)}


def _bars(aligned: Aligned, days: int) -> int:
    return int(days * DAY_NS // aligned.bar_ns)
