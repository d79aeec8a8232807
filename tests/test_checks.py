"""The shipped checks pass on good markets, and each of them fails when its law is broken."""

import numpy as np
import pytest

from fundenv import checks
from fundenv.batch.cpu import Batch
from fundenv.checks import CheckError, check_accounting, check_causality, check_parity
from fundenv.dynamics import types as t
from tests.markets import PLAIN_VENUE, wild_market

WILD = {"venue": PLAIN_VENUE, "decision_interval": "2h"}


@pytest.mark.parametrize("actions", ["continuous", "discrete", "target", "indexed"])
@pytest.mark.parametrize("margin_mode", ["isolated", "cross", "portfolio"])
def test_wild_markets_pass(actions, margin_mode):
    market = wild_market(2, paths=5, length=100)
    settings = WILD | {"actions": actions, "margin_mode": margin_mode}
    assert check_accounting(market=market, episode="2D", **settings) < 1e-9
    check_causality(market, **settings)
    check_parity(market=market, episode="2D", **settings)


def test_a_lost_coin_is_found(monkeypatch):
    honest = Batch.step

    def leaky(self, actions):
        honest(self, actions)
        self.ledger[3, t.FUNDING] += 0.01

    monkeypatch.setattr(Batch, "step", leaky)
    with pytest.raises(CheckError, match="environment 3, step 0: parts miss the change of equity"):
        check_accounting(market=wild_market(2), **WILD)


def test_a_balance_without_equity_is_found(monkeypatch):
    monkeypatch.setattr(
        checks, "account_equity", lambda batch: batch.store.account[:, t.EQUITY] + 1.0
    )
    with pytest.raises(CheckError, match=r"balances by 1\.\d\de-05"):
        check_accounting(market=wild_market(2), **WILD)


def test_a_peek_is_found(monkeypatch):
    market, honest = wild_market(2, paths=2), Batch.step

    def peeking(self, actions):
        honest(self, actions)
        self.obs[:, 0] = self.market.bars[
            np.minimum(self.store.episode[:, t.ROW] + 1, len(self.market.bars) - 1), 0, 1
        ]

    monkeypatch.setattr(Batch, "step", peeking)
    with pytest.raises(
        CheckError, match="the observation depends on data after the end of the step"
    ):
        check_causality(market, **WILD)


def test_a_difference_between_threads_is_found(monkeypatch):
    honest = Batch.step

    def uneven(self, actions):
        honest(self, actions)
        if self._pool is not None:
            self.reward[0] += 1e-12

    monkeypatch.setattr(Batch, "step", uneven)
    with pytest.raises(CheckError, match="serial and threaded batches differ"):
        check_parity(market=wild_market(2), **WILD)
