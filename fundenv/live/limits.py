"""Limits and stops of a paper account, as a trading desk has them.

They change the action of the agent before it is sent, and each change writes a line with its
reason. Like every order they act at the next decision, because the kernel takes orders only there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from fundenv.dynamics import types as t
from fundenv.live.errors import LiveError
from fundenv.market.layout import MARK_CLOSE
from fundenv.settings import Range, Settings

STOP_FILE = "STOP"  # in the folder of the account; while it exists, no position is held


@dataclass(frozen=True, kw_only=True)
class Limits(Settings):
    """Limits of one account; 0 leaves a limit off."""

    error: ClassVar[type[ValueError]] = LiveError
    max_notional: Annotated[float, Range(0, 1e15, "quote")] = 0.0
    """Largest perpetual position of a coin."""
    max_exposure: Annotated[float, Range(0, 125, "times")] = 0.0
    """Largest sum of perpetual positions over equity."""
    drawdown: Annotated[float, Range(0, 1, "of the peak")] = 0.0
    """Loss from the highest equity at which all positions are closed until --reset."""
    funding_flip: Annotated[int, Range(0, 1000, "settlements")] = 0
    """Number of settlements in a row at which a position has paid; then it is closed until it would
    receive funding again.
    """

    @property
    def any(self) -> bool:
        """Whether some limit is on."""
        return bool(self.max_notional or self.max_exposure or self.drawdown or self.funding_flip)


@dataclass(frozen=True)
class Ruling:
    """An action after the limits: rows (n, k) to send, the reasons, and the stops that stay."""

    actions: NDArray[Any]
    reasons: list[str]
    latched: list[str]


class Gate:
    """Applies `limits` to the actions for a batch."""

    def __init__(self, limits: Limits, folder: Path) -> None:
        self.limits, self.stop = limits, folder / STOP_FILE

    def rule(self, batch: Any, wanted: NDArray[Any], latched: list[str]) -> Ruling:
        """The actions to send for `wanted`; `latched`: the stops that are in force already."""
        reasons: list[str] = []
        names = ["+".join(_symbols(batch, i)) for i in range(batch.num_envs)]
        rows = _rows(batch, wanted)
        latched = list(latched)
        for i, name in enumerate(names):
            flat = self._stops(batch, i, name, latched) or self._flips(batch, i, rows[i])
            if flat:
                for a in range(batch.n_assets):
                    _set_carry(batch, rows[i], a, 0.0)
                reasons += [f"{name}: {why}" for why in flat]
                continue
            for a in range(batch.n_assets):
                reasons += self._caps(batch, i, a, rows[i])
        return Ruling(_given_back(batch, rows, wanted), reasons, latched)

    def _stops(self, batch: Any, i: int, name: str, latched: list[str]) -> list[str]:
        """Why the whole account i must be flat; extends `latched`."""
        found = []
        if self.stop.exists():
            found.append(f"closed: {self.stop} exists")
        account = batch.store.account[i]
        loss = 1.0 - account[t.EQUITY] / max(account[t.EQUITY_PEAK], 1e-12)
        if self.limits.drawdown and loss >= self.limits.drawdown:
            key = f"drawdown {name}"
            if key not in latched:
                latched.append(key)
        if f"drawdown {name}" in latched:
            found.append(
                f"closed: drawdown of {loss:.2%} reached the limit"
                f" {self.limits.drawdown:.2%}; --reset lets it trade again"
            )
        return found

    def _flips(self, batch: Any, i: int, row: NDArray[Any]) -> list[str]:
        """A line for each coin whose held or requested position has paid at too many settlements;
        one such coin closes its account.
        """
        if not self.limits.funding_flip:
            return []
        names = [column.name.split(":")[-1] for column in batch.observation_table]
        at = [k for k, name in enumerate(names) if name == "funding_persistence"]
        scale = batch.observation_table[at[0]].scale
        found = []
        for a, column in enumerate(at):
            run = float(batch.obs[i, column]) * scale
            hold, carry, *_ = decoded(batch, row, a)
            perp = float(batch.store.legs[i, a, t.PERP]) if hold else -carry
            paid = -run if perp < 0 else run  # a short position receives positive rates
            if perp and paid >= self.limits.funding_flip:
                symbol = _symbols(batch, i)[a]
                found.append(
                    f"closed: the position in {symbol} has paid for {paid:.0f} settlements in a"
                    f" row, the limit is {self.limits.funding_flip}"
                )
        return found

    def _caps(self, batch: Any, i: int, a: int, row: NDArray[Any]) -> list[str]:
        """Reduce the position that asset a of account i would hold to the largest one allowed."""
        allowed = self._largest(batch, i)
        if allowed is None:
            return []
        hold, carry, hedge, leverage = decoded(batch, row, a)
        market_row = int(batch.store.episode[i, t.ROW])
        price = float(batch.market.bars[market_row, a, MARK_CLOSE])
        share = batch.store.account[i, t.EQUITY]
        if batch.config.capital == "parts":
            share = share / batch.n_assets
        full = share / (hedge + 1.0 / leverage)  # notional of a full carry
        held = abs(float(batch.store.legs[i, a, t.PERP])) * price
        asked = held if hold else abs(carry) * full
        if asked <= allowed * (1 + 1e-9):
            return []
        target = float(batch.store.legs[i, a, t.TARGET_CARRY]) if hold else carry
        keep = allowed / full if full > 0 else 0.0
        _set_carry(batch, row, a, float(np.copysign(min(keep, 1.0), target)))
        return [
            f"{_symbols(batch, i)[a]}: position of {asked:,.0f} cut to {allowed:,.0f} quote,"
            " the limit"
        ]

    def _largest(self, batch: Any, i: int) -> float | None:
        limits = []
        if self.limits.max_notional:
            limits.append(self.limits.max_notional)
        if self.limits.max_exposure:
            equity = float(batch.store.account[i, t.EQUITY])
            limits.append(self.limits.max_exposure * max(equity, 0.0) / batch.n_assets)
        return min(limits) if limits else None


def check_closable(batch: Any) -> None:
    """Raise `LiveError` where no action of the env closes a position."""
    config = batch.config
    grid = config.actions in ("discrete", "indexed")
    if config.actions != "target" and (
        "carry" not in config.dials or (grid and 0.0 not in config.carry_grid)
    ):
        raise LiveError(
            "limits and the stop file need actions that can close a position: the dial `carry`, and"
            " 0 in carry_grid; this agent's env has none"
        )


def decoded(batch: Any, row: NDArray[Any], a: int) -> tuple[bool, float, float, float]:
    """(hold, carry, hedge, leverage) that an action row (k,) requests for asset a. It reads the row
    as `decode` of `fundenv.dynamics.action` does, which only compiled code can call.
    """
    config, at = batch.config, a * _width(batch)
    if config.actions == "target":
        hold, carry, hedge, leverage = (float(x) for x in row[at : at + 4])
        return hold > 0.5, carry, hedge, min(max(leverage, 1.0), config.max_leverage)
    values = {"carry": config.carry, "hedge": config.hedge, "leverage": config.leverage}
    grid = config.actions != "continuous"
    hold = grid and row[at] < 0.5
    for dial in ("carry", "hedge", "leverage"):
        if dial in config.dials:
            x = float(row[at])
            if grid:
                own = getattr(config, f"{dial}_grid")
                values[dial] = own[min(max(int(x) - (dial == "carry"), 0), len(own) - 1)]
            else:
                x = min(max(x, -1.0), 1.0)
                values[dial] = {
                    "carry": x,
                    "hedge": 1.0 + (x if x < 0.0 else 0.5 * x),
                    "leverage": math.exp(0.5 * (1.0 + x) * math.log(config.max_leverage)),
                }[dial]
        if dial in config.dials or (grid and dial == "carry"):
            at += 1
    return hold, values["carry"], values["hedge"], values["leverage"]


def _symbols(batch: Any, i: int) -> tuple[str, ...]:
    """The coins of environment i."""
    names: tuple[str, ...] = batch.market.symbols[int(batch.store.episode[i, t.PATH])]
    return names


def _width(batch: Any) -> int:
    rows = batch.actions.shape[1] - ("keeper" in batch.config.dials)
    return int(rows // batch.n_assets)


def _set_carry(batch: Any, row: NDArray[Any], a: int, carry: float) -> None:
    """Write the carry of asset a into an action row. On a grid it takes the nearest value that is
    not larger.
    """
    config, at = batch.config, a * _width(batch)
    if config.actions == "target":
        row[at], row[at + 1] = 0.0, carry
    elif config.actions == "continuous":
        row[at] = carry
    else:
        fits = [
            k
            for k, value in enumerate(config.carry_grid)
            if abs(value) <= abs(carry) + 1e-12 and value * carry >= 0
        ]
        row[at] = 1 + max(fits, key=lambda k: abs(config.carry_grid[k]))


def _rows(batch: Any, wanted: NDArray[Any]) -> NDArray[Any]:
    """Rows (n, k) of the actions; `indexed` actions become the rows that they number."""
    if batch.config.actions == "indexed":
        numbers = np.asarray(wanted).reshape(batch.num_envs).astype(int)
        return np.array(batch.decisions[numbers], dtype=np.float64)
    return np.array(wanted, dtype=np.float64).reshape(batch.num_envs, -1)


def _given_back(batch: Any, rows: NDArray[Any], wanted: NDArray[Any]) -> NDArray[Any]:
    """The rows in the form of the agent's actions."""
    if batch.config.actions != "indexed":
        return rows.reshape(np.shape(wanted))
    table = np.asarray(batch.decisions)
    numbers = [int(np.flatnonzero((table == row).all(axis=1))[0]) for row in rows]
    return np.array(numbers, dtype=np.int64).reshape(np.shape(wanted))
