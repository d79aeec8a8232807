"""Made-up coins behind a mock exchange, and paper accounts that hear it."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import agents
from experiments.live.mock import MockExchange
from experiments.live.mock_world import World, world_of
from experiments.rollout.make import JUDGED
from fundenv.config import EnvConfig
from fundenv.live import Limits, LiveFeed, Paper, Plan, RecordedFeed, Waits
from fundenv.market import SymbolFrames, synthetic_frames
from fundenv.market.download import Policy, Rest
from fundenv.venues import load_venue

HOUR = 3_600_000
PATIENT = Policy(retries=1, backoff=0.01, longest_wait=0.1, timeout=2.0, rate=10_000.0)


def ms(text: str) -> int:
    return pd.Timestamp(text, tz="UTC").value // 1_000_000


START = ms("2024-03-01 05:30")  # of the clock; 60 days of history lie before it


@cache
def coin(symbol: str, seed: int = 0) -> SymbolFrames:
    """120 days of a made-up coin."""
    return synthetic_frames(
        "btc" if symbol.startswith("BTC") else "eth",
        years=120 / 365,
        seed=seed,
        start="2024-01-01",
        symbol=symbol,
    )


def coins(symbols: Iterable[str], seed: int = 0) -> dict[str, SymbolFrames]:
    return {symbol: coin(symbol, seed + k) for k, symbol in enumerate(symbols)}


def exchange(symbols: Iterable[str], venues: Iterable[str] = ("binance",)) -> MockExchange:
    tables = {venue: coins(symbols, 10 * k) for k, venue in enumerate(venues)}
    return MockExchange(world_of(tables, START))


def plan(symbols: Iterable[str], agent: Any, venue: str = "binance", **more: Any) -> Plan:
    given = {"venue": venue} | dict(more.pop("env", {}))
    settings = EnvConfig.from_dict(given | agent.env_settings() | JUDGED).to_dict()
    return Plan(
        venue=load_venue(venue),
        symbols=tuple(symbols),
        agent=agent.name,
        settings=settings,
        **more,
    )


def paper(
    folder: Path,
    feed: Any,
    symbols: Iterable[str] = ("BTCUSDT", "ETHUSDT"),
    agent: Any = "ewma",
    venue: str = "binance",
    limits: Limits | None = None,
    **more: Any,
) -> Paper:
    agent = agents.make(agent) if isinstance(agent, str) else agent
    if isinstance(feed, str):
        feed = LiveFeed(Rest(PATIENT, feed))
    waits = more.pop("waits", Waits())
    return Paper(
        plan(symbols, agent, venue, **more), folder, feed, agent, limits or Limits(), waits
    )


def recorded(frames: dict[str, SymbolFrames], world: World) -> RecordedFeed:
    """The same rows without a server."""
    tables = {}
    for symbol, own in frames.items():
        for kind in ("funding", "perp", "spot", "mark"):
            table = own.perp.drop(columns="volume") if kind == "mark" else getattr(own, kind)
            times = np.asarray(table["time"].astype("int64")) // 1_000_000
            tables[symbol, kind] = table.assign(time=times)
    return RecordedFeed(tables, lambda: world.now_ms)


def walk(own: Paper, world: World, until: int, *, hours: float = 8.0) -> None:
    """Poll repeatedly while the clock of the exchange advances."""
    while world.now_ms < until:
        own.look()
        world.now_ms += round(hours * HOUR)
    own.look()
