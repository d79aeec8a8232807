"""A recorded episode: a change of the dynamics that moves it needs a new environment version.

`python -m tests.dynamics.test_golden` writes the record anew, which is what a new version does.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from fundenv.batch.cpu import Batch
from tests.markets import PLAIN_VENUE, wild_market

RECORD = Path(__file__).with_name("golden_v0.json")


def trajectories():
    """Equity, ledger sums and liquidations of a batch in each margin mode under seeded random
    actions.
    """
    result = {}
    for mode in ("isolated", "cross"):
        batch = Batch(
            8,
            market=wild_market(5, paths=4, length=200),
            venue=PLAIN_VENUE,
            margin_mode=mode,
            decision_interval="4h",
            episode="3D",
            autoreset="same_step",
            base_supply=0.0,
        )
        batch.reset(9)
        rng, equity, ledger, liquidated = np.random.default_rng(1), [], np.zeros(9), 0
        for _ in range(60):
            batch.step(rng.uniform(-1, 1, (8, 3)))
            equity.append(batch.store.account[:, 1].tolist())
            ledger += batch.ledger[:, :9].sum(axis=0)
            liquidated += int(batch.audit()["liquidated"].sum())
        result[mode] = {
            "equity": equity,
            "ledger": ledger.tolist(),
            "liquidated": liquidated,
            "last_obs": batch.obs.astype(float).tolist(),
        }
    return result


def test_the_recorded_episodes_repeat():
    recorded, now = json.loads(RECORD.read_text()), trajectories()
    for mode, record in recorded.items():
        assert now[mode]["liquidated"] == record["liquidated"] > 0
        assert np.array(now[mode]["equity"]) == pytest.approx(np.array(record["equity"]), rel=1e-9)
        assert np.array(now[mode]["ledger"]) == pytest.approx(np.array(record["ledger"]), rel=1e-9)
        assert np.array(now[mode]["last_obs"]) == pytest.approx(
            np.array(record["last_obs"]), abs=1e-5
        )


if __name__ == "__main__":
    RECORD.write_text(json.dumps(trajectories()))
