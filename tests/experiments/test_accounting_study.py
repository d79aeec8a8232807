"""The check of the accounting law in every mode: what it prints, and that a lost coin ends it."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.core.run_folder import RunError
from experiments.studies import accounting
from fundenv.batch.cpu import Batch
from fundenv.dynamics import types as t

SMALL = {"steps": 400, "accounts": 40, "coins": 2}


def test_every_mode_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    accounting.main(accounting.Args(**SMALL, modes=("indexed", "dial")))
    shown = capsys.readouterr().out
    for name in ("indexed", "keeper as a dial, isolated", "keeper as a dial, portfolio"):
        assert f"│ {name} " in shown
    assert "│ portfolio " not in shown


def test_the_modes_of_two_venues_have_their_own_market(capsys: pytest.CaptureFixture[str]) -> None:
    accounting.main(accounting.Args(**SMALL, modes=("two venues, one",)))
    assert "│ two venues, one fails " in capsys.readouterr().out
    market = accounting.on_venues(0, fails="hyperliquid", inverse=False)
    assert market.n_assets == 6
    assert market.has_failures


def test_a_lost_coin_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = Batch.step

    def leaky(self: Batch, actions: object) -> None:
        honest(self, actions)
        self.ledger[7, t.FUNDING] += 0.01

    monkeypatch.setattr(Batch, "step", leaky)
    with pytest.raises(RunError, match=r"account 7 miss its equity by .* after 0 decisions"):
        accounting.main(accounting.Args(**SMALL, modes=("cross",)))


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(RunError, match="--modes 'crass': expected a part of isolated, cross"):
        accounting.main(accounting.Args(**SMALL, modes=("crass",)))


def test_some_dials_stand_at_an_end_and_most_accounts_keep_theirs() -> None:
    batch = Batch(400, capital="shared", margin_mode="portfolio")
    rng = np.random.default_rng(0)
    before = np.zeros(batch.actions.shape)
    actions = accounting.bold(batch, rng, before)
    moved = (actions != before).any(axis=1)
    assert 0.05 < moved.mean() < 0.15
    assert 0.4 < (np.abs(actions[moved]) == 1.0).mean() < 0.6
