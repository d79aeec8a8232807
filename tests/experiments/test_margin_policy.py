"""The picture of how much of the capital works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tyro

import agents
from experiments.core.run_folder import RunError
from experiments.studies import margin_policy
from fundenv.market import joint, synthetic_frames, synthetic_market, write_frames

INTEREST = 0.073 * 1e4 / 1095  # of borrowed quote on Binance, bp per 8 h


@pytest.mark.parametrize("name", ["margin_carry", "learned_margin"])
def test_the_notional_is_what_the_rule_asks_for(name: str) -> None:
    own = {"own": 0.9, "highest": 1.5, "distance": 10.0, "near": 4.0}
    text = " ".join(f"{key}={value}" for key, value in own.items())
    agent = agents.make(name, **({"rule": text} if name == "learned_margin" else own))
    market = synthetic_market(years=0.3, seed=1)
    one = joint(market, list(market.symbols[0]))
    net = np.array([0.1, 0.3, INTEREST + 0.1, INTEREST + 0.3])
    calm = 0.2
    found = margin_policy.answer(agent, one, net, [calm], 0.0).size
    np.testing.assert_allclose(found[0], [0.0, 0.9, 0.9, 1.5], rtol=1e-4)
    # so wild that the distance allows less than the notional wanted
    wild = margin_policy.answer(agent, one, net, [calm, 8.0], 0.0).size[1]
    assert 0 < wild[3] < 1.5
    # what is held is kept while it pays, left where it does not, and cut near liquidation
    kept = margin_policy.answer(agent, one, np.array([-3.0, INTEREST + 0.1]), [calm, 8.0], 0.0, 1.5)
    np.testing.assert_allclose(kept.size[0], [0.0, 1.5], atol=0.01)
    assert kept.distance[0] > 4.0 > kept.distance[1]
    assert kept.size[1, 1] < 1.0


def test_the_command_draws_a_picture(tmp_path: Path) -> None:
    frames = synthetic_frames(years=0.5, seed=0, symbol="AAAUSDT", start="2023-01-01")
    write_frames(frames, tmp_path, venue="binance")
    out = tmp_path / "policy.png"
    words = ["--data", str(tmp_path), "--symbols", "AAAUSDT", "--span", "2023-01:2023-05"]
    named = ["--agents", "margin_carry highest=3", "rotation", "--out", str(out)]
    named += ["--held", "0", "2"]
    margin_policy.main(tyro.cli(margin_policy.Args, args=[*words, *named]))
    assert out.stat().st_size > 5000
    empty = margin_policy.Args(data=tmp_path, agents=())
    with pytest.raises(RunError, match="--agents is empty"):
        margin_policy.main(empty)
