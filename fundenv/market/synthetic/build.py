"""A synthetic market with the statistics of a real one: tables as from an exchange, and markets of
any number of paths.

The numbers come from `fundenv.market.synthetic.generator`; what they should look like, and how
close they come, `python -m experiments.studies.generator_report` prints.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fundenv.market.build import assemble
from fundenv.market.files.bar_matrix import Aligned, lay
from fundenv.market.files.frames import GENERATED, HOUR_NS, SymbolFrames, to_ns
from fundenv.market.files.settlements import Settlements
from fundenv.market.join import joint
from fundenv.market.market import Market
from fundenv.market.split import between, stack
from fundenv.market.synthetic import coins as p
from fundenv.market.synthetic.generator import SETTLE_HOURS, YEAR_HOURS, Histories, simulate
from fundenv.venues import Rulebook

_LEAD_DAYS = 36  # before `start`, so that the features of the first bar are complete
_CHUNK = (
    32  # columns simulated together: enough to hide the cost of the loops over hours, little memory
)


def synthetic_market(
    preset: str | Sequence[str] = "btc",
    *,
    years: float = 3.0,
    paths: int = 1,
    seed: int = 0,
    venue: str = "binance",
    start: str = "2020-01-01",
    bar_hours: int = 1,
    first_path: int = 0,
) -> Market:
    """`paths` independent histories of `years` from `start`, numbered from `first_path` on and
    named SYNTH-BTC-0, SYNTH-BTC-1, ..

    preset: btc, eth or alt, or several of them, such as ("btc", "eth", "alt", "alt"): correlated
    assets of one path on one clock. Path k depends on (seed, k) alone, so more paths, or the same
    ones in chunks by `first_path`, leave each as it was; nor do further coins change the first
    ones' prices and rates. `venue` gives the funding constants of the running estimate. A path and
    asset takes 2 MB a year of hours.

    Raises `ValueError` as `synthetic_frames` does, and for paths < 1 or first_path < 0.
    """
    presets = (preset,) if isinstance(preset, str) else tuple(preset)
    if not presets:
        raise ValueError(f"preset is empty; expected at least one of {', '.join(p.PRESETS)}")
    return made_market(
        _coins(presets),
        years=years,
        paths=paths,
        seed=seed,
        venue=venue,
        start=start,
        bar_hours=bar_hours,
        first_path=first_path,
    )


def made_market(
    presets: Sequence[p.Preset],
    *,
    years: float,
    paths: int,
    seed: int,
    venue: str,
    start: str,
    bar_hours: int,
    first_path: int,
) -> Market:
    """`synthetic_market` of coins that are described by presets."""
    if paths < 1 or first_path < 0:
        raise ValueError(f"paths = {paths}, first_path = {first_path}; expected at least 1 and 0")
    settlements = _settlements(years + _LEAD_DAYS / 365.0, years)
    lead, book = (
        pd.Timestamp(to_ns(start), tz="UTC") - pd.Timedelta(days=_LEAD_DAYS),
        Rulebook.read(venue),
    )
    numbers, step = range(first_path, first_path + paths), max(1, _CHUNK // len(presets))
    markets = []
    for at in range(0, paths, step):
        chunk = numbers[at : at + step]
        histories = simulate(presets, settlements, [(seed, number) for number in chunk], lead.hour)
        for k, number in enumerate(chunk):
            kinds = [coin.name for coin in presets]
            names = [f"{GENERATED}{name}-{number}" for name in _names(kinds)]
            columns = range(k * len(presets), (k + 1) * len(presets))
            coins = [
                _aligned(histories, column, to_ns(lead), bar_hours, name)
                for column, name in zip(columns, names, strict=True)
            ]
            market = between(assemble(coins, book, {}), start, None)
            markets.append(joint(market, names) if len(names) > 1 else market)
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
    """Tables of one synthetic symbol (years of 365 days from `start`, a midnight UTC), settled
    every 8 h.

    Raises `ValueError` for an unknown preset, a span under a day or bars that do not divide 8 h.
    """
    key = tuple(seed) if isinstance(seed, Sequence) else (seed,)
    histories = simulate(
        _coins((preset,)), _settlements(years, years), [key], pd.Timestamp(start).hour
    )
    return _frames(histories, 0, start, bar_hours, symbol or f"{GENERATED}{preset.upper()}")


def _coins(presets: Sequence[str]) -> list[p.Preset]:
    for preset in presets:
        if preset not in p.PRESETS:
            raise ValueError(f"preset {preset!r}; expected one of {', '.join(p.PRESETS)}")
    return [p.PRESETS[preset] for preset in presets]


def _names(presets: Sequence[str]) -> list[str]:
    """BTC, ALT, ALT2, .."""
    before = [presets[:k].count(preset) for k, preset in enumerate(presets)]
    return [
        f"{preset.upper()}{count + 1 if count else ''}"
        for preset, count in zip(presets, before, strict=True)
    ]


def _settlements(years: float, asked: float) -> int:
    settlements = round(years * YEAR_HOURS / SETTLE_HOURS)
    if not asked > 0 or settlements < 3:
        raise ValueError(f"years = {asked!r}; expected at least a day (0.003)")
    return settlements


def _frames(
    histories: Histories, column: int, start: str, bar_hours: int, symbol: str
) -> SymbolFrames:
    """Tables of one simulated coin."""
    opens, instants = _clock(histories, to_ns(start), bar_hours)
    spot, perp, mark = (
        table.assign(time=_utc(opens)) for table in _tables(histories, column, bar_hours).values()
    )
    funding = pd.DataFrame({"time": _utc(instants), "rate": histories.rate[:, column]})
    return SymbolFrames(symbol=symbol, funding=funding, perp=perp, spot=spot, mark=mark)


def _aligned(
    histories: Histories, column: int, origin: int, bar_hours: int, symbol: str
) -> Aligned:
    """What `align` makes of those tables, without the checks that files need."""
    opens, instants = _clock(histories, origin, bar_hours)
    known = instants <= opens[-1]
    hours = np.r_[np.nan, np.full(known.sum() - 1, float(SETTLE_HOURS))]
    settlements = Settlements(
        instants[known], histories.rate[known, column], hours, np.full(known.sum(), np.nan)
    )
    tables = {
        kind: table.set_axis(opens, axis=0)
        for kind, table in _tables(histories, column, bar_hours).items()
    }
    return lay(symbol, bar_hours * HOUR_NS, settlements=settlements, extras={}, notes=(), **tables)


def _clock(
    histories: Histories, origin: int, bar_hours: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Opens of the bars and instants of the settlements, ns."""
    opens = origin + np.arange(0, len(histories.spot), bar_hours) * HOUR_NS
    return opens, origin + np.arange(len(histories.rate)) * SETTLE_HOURS * HOUR_NS


def _tables(histories: Histories, column: int, bar_hours: int) -> dict[str, pd.DataFrame]:
    """Bars of one simulated coin, without their times: spot, perp, mark."""
    if bar_hours not in (1, 2, 4, 8):
        raise ValueError(f"bar_hours = {bar_hours!r}; expected 1, 2, 4 or 8")
    spot = dict(zip(("open", "high", "low", "close"), histories.spot[:, :, column].T, strict=True))
    tables = {
        "spot": spot | {"volume": histories.spot_volume[:, column]},
        "perp": shifted(spot, histories.basis[:, column])
        | {"volume": histories.perp_volume[:, column]},
        "mark": shifted(spot, histories.mark_basis[:, column]),
    }
    return {kind: pd.DataFrame(_merged(table, bar_hours)) for kind, table in tables.items()}


def shifted(
    spot: dict[str, NDArray[np.float64]], basis: NDArray[np.float64]
) -> dict[str, NDArray[np.float64]]:
    """Bars of a price that stands `basis` (n,) from spot at each close."""
    before = np.r_[basis[0], basis[:-1]]
    factors = {
        "open": before,
        "high": np.maximum(before, basis),
        "low": np.minimum(before, basis),
        "close": basis,
    }
    return {column: spot[column] * (1.0 + factor) for column, factor in factors.items()}


def _merged(
    table: dict[str, NDArray[np.float64]], bar_hours: int
) -> dict[str, NDArray[np.float64]]:
    """Bars of `bar_hours` from hourly ones."""
    hours = {column: values.reshape(-1, bar_hours) for column, values in table.items()}
    merged = {
        "open": hours["open"][:, 0],
        "high": hours["high"].max(axis=1),
        "low": hours["low"].min(axis=1),
        "close": hours["close"][:, -1],
    }
    return merged | ({"volume": hours["volume"].sum(axis=1)} if "volume" in hours else {})


def _utc(ns: NDArray[np.int64]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(ns).tz_localize("UTC")
