"""The history of one episode, kept for its picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t
from fundenv.dynamics.observation import LEG_COLUMNS
from fundenv.envs.render import EpisodePicture
from fundenv.market import layout

_LEG_NAMES = [column.name for column in LEG_COLUMNS]


class Recorder:
    """Records environment 0 of a batch step by step and draws the episode so far."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._rows: list[dict[str, Any]] = []
        self.reasons: tuple[str, ...] = (
            "",
        ) * batch.n_assets  # why the agent decides as it does in the step to come
        self._symbols = batch.market.symbols[0]
        # now, so that a missing library is reported when the environment is made
        self._picture = EpisodePicture(self._symbols)

    def begin(self) -> None:
        """Forget the last episode."""
        self._rows, self.reasons = [], ("",) * self._batch.n_assets

    def record(self) -> None:
        """Keep what the picture shows of the step just taken."""
        batch = self._batch
        row = int(batch.store.episode[0, t.ROW])
        bars, legs = batch.market.bars[row], batch.store.legs[0]
        self._rows.append(
            {
                "time": batch.market.close_ns[row : row + 1].astype("datetime64[ns]")[0],
                "equity": batch.store.account[0, t.EQUITY],
                "parts": batch.ledger[0, : t.N_PARTS].copy(),
                "spot_price": bars[:, layout.SPOT_CLOSE],
                "perp_price": bars[:, layout.PERP_CLOSE],
                "mark_price": bars[:, layout.MARK_CLOSE],
                "funding_rate": self._feature(row, "funding_last"),
                "carry": legs[:, t.TARGET_CARRY].copy(),
                "hedge": self._leg("hedge_ratio"),
                "leverage": self._leg("leverage"),
                "margin_distance": np.where(
                    legs[:, t.PERP] != 0,
                    self._leg("margin_distance") * bars[:, layout.SIGMA_DAY],
                    np.nan,
                ),
                "liquidated": legs[:, t.LIQUIDATED].copy(),
                # base units
                "perp": (
                    legs[:, t.PERP]
                    / (bars[:, layout.MARK_CLOSE] if batch.world.contract == t.INVERSE else 1.0)
                ),
                "reason": self.reasons,
            }
        )
        self.reasons = ("",) * batch.n_assets

    def draw(self) -> NDArray[np.uint8]:
        """The episode so far, (H, W, 3)."""
        batch = self._batch
        symbols = batch.market.symbols[int(batch.store.episode[0, t.PATH])]
        if symbols != self._symbols:
            self._picture, self._symbols = EpisodePicture(symbols), symbols
        return self._picture.draw(self._history())

    def _history(self) -> dict[str, Any]:
        assets = self._batch.n_assets
        if self._rows:
            return {key: np.array([row[key] for row in self._rows]) for key in self._rows[0]}
        empty: dict[str, Any] = {
            "time": np.zeros(0, "datetime64[ns]"),
            "equity": np.zeros(0),
            "parts": np.zeros((0, t.N_PARTS)),
        }
        names = (
            "spot_price perp_price mark_price funding_rate carry hedge leverage margin_distance"
            " liquidated perp".split()
        )
        return empty | {name: np.zeros((0, assets)) for name in names}

    def _feature(self, row: int, name: str) -> t.Float64:
        market = self._batch.market
        column = [feature.name for feature in market.table].index(name)
        return market.features[row, :, column].astype(np.float64) * market.table[column].scale

    def _leg(self, name: str) -> t.Float64:
        batch = self._batch
        width, at = (
            len(batch.market.table) + len(LEG_COLUMNS),
            len(batch.market.table) + _LEG_NAMES.index(name),
        )
        values = batch.obs
        return (
            values[0, at::width][: batch.n_assets].astype(np.float64)
            * LEG_COLUMNS[_LEG_NAMES.index(name)].scale
        )
