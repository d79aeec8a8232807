"""The history of one episode, kept for its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.dynamics.observation import LEG_COLUMNS
from fundenv.envs.render import EpisodePicture, require_matplotlib
from fundenv.market import layout

_LEG_NAMES = [column.name for column in LEG_COLUMNS]


class Recorder:
    """Records environment 0 of a batch step by step and draws the episode so far.

    A step keeps one row of raw numbers. The history and the picture are made only when `render` is
    called, because many clients set a render mode and never draw.
    """

    def __init__(self, batch: Batch) -> None:
        """Raises `gymnasium.error.DependencyNotInstalled` without matplotlib."""
        require_matplotlib()
        self._batch = batch
        self._rows: list[tuple[int, t.Float64, t.Float32, tuple[str, ...]]] = []
        # why the agent decides as it does in the step to come
        self.reasons: tuple[str, ...] = ("",) * batch.n_assets
        self.picture: EpisodePicture | None = None

    def begin(self) -> None:
        """Forget the last episode."""
        self._rows, self.reasons = [], ("",) * self._batch.n_assets

    def record(self) -> None:
        """Keep what the picture shows of the step just taken."""
        batch = self._batch
        row = batch.store.episode.item(0, t.ROW)
        self._rows.append((row, batch.block.copy(), batch.out.obs[0].copy(), self.reasons))
        self.reasons = ("",) * batch.n_assets

    def draw(self) -> NDArray[np.uint8]:
        """The episode so far, (H, W, 3)."""
        batch = self._batch
        symbols = batch.market.symbols[int(batch.store.episode[0, t.PATH])]
        if self.picture is None or symbols != self.picture.symbols:
            self.picture = EpisodePicture(symbols)
        return self.picture.draw(self._history())

    def _history(self) -> dict[str, Any]:
        """Arrays over the k steps so far (and the A assets) by name."""
        batch, k = self._batch, len(self._rows)
        assets, market = batch.n_assets, batch.market
        rows = np.array([row for row, *_ in self._rows], np.int64)
        blocks = np.array([block for _, block, *_ in self._rows]).reshape(k, len(batch.block))
        sizes = np.cumsum([t.N_ACCOUNT, assets * t.N_LEG, t.N_LEDGER])
        account, legs, ledger, _ = np.split(blocks, sizes, axis=1)
        legs = legs.reshape(k, assets, t.N_LEG)
        seen = np.array([obs for *_, obs, _ in self._rows]).reshape(k, len(batch.observation_table))
        bars, perp = market.bars[rows], legs[:, :, t.PERP]
        mark = bars[:, :, layout.MARK_CLOSE]
        inverse = batch.inverse[0]
        return {
            "time": market.close_ns[rows].astype("datetime64[ns]"),
            "equity": account[:, t.EQUITY],
            "parts": ledger[:, : t.N_PARTS],
            "spot_price": bars[:, :, layout.SPOT_CLOSE],
            "perp_price": bars[:, :, layout.PERP_CLOSE],
            "mark_price": mark,
            "funding_rate": self._feature(rows, "funding_last"),
            "carry": legs[:, :, t.TARGET_CARRY],
            "hedge": self._leg(seen, "hedge_ratio"),
            "leverage": self._leg(seen, "leverage"),
            "margin_distance": np.where(
                perp != 0,
                self._leg(seen, "margin_distance") * bars[:, :, layout.SIGMA_DAY],
                np.nan,
            ),
            "liquidated": legs[:, :, t.LIQUIDATED],
            # base units
            "perp": perp / np.where(inverse, mark, 1.0),
            "reason": np.array([reasons for *_, reasons in self._rows]).reshape(k, assets),
        }

    def _feature(self, rows: t.Int64, name: str) -> t.Float64:
        market = self._batch.market
        column = [feature.name for feature in market.table].index(name)
        values: t.Float64 = (
            market.features[rows, :, column].astype(np.float64) * market.table[column].scale
        )
        return values

    def _leg(self, seen: t.Float32, name: str) -> t.Float64:
        """An observation of the legs (k, A), out of whole observations (k, D)."""
        table, number = self._batch.market.table, _LEG_NAMES.index(name)
        at = slice(len(table) + number, None, len(table) + len(LEG_COLUMNS))
        own = seen[:, at][:, : self._batch.n_assets].astype(np.float64)
        values: t.Float64 = own * LEG_COLUMNS[number].scale
        return values
