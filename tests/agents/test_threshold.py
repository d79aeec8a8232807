"""The threshold rule plays the optimum of the process that it was fitted to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import agents
from agents.rules.threshold import Threshold
from agents.rules.threshold_fit import Fit, thresholds
from fundenv.envs.vector import FundingHedgeVectorEnv
from fundenv.market import synthetic_market
from tests.optima.plans import played

FLAT = {"weights": (0.0,) * 7, "lag": 1, "interval_hours": 8.0}


def test_thresholds_are_those_of_the_known_optimum() -> None:
    published = Fit(mean=0.0, sd=1.0, phi=0.98, up=5.0, down=5.0, **FLAT)
    assert thresholds(published, 0.0, 0.0, 3.0, False)[0] == pytest.approx(
        [0.575, -0.575], abs=3e-3
    )
    carry = Fit(mean=0.66, sd=0.87, phi=0.98, up=8.0, down=8.0, **FLAT)
    assert thresholds(carry, 0.0, 0.0, 3.0, False)[0] == pytest.approx([0.475, -0.842], abs=3e-3)
    hurdle = 0.3 * 8 / 8760 * (1 + 1 / 3)
    near = thresholds(
        Fit(mean=0.66 + hurdle, sd=0.87, phi=0.98, up=8.0, down=8.0, **FLAT), 0.3, 0.0, 3.0, False
    )[0]
    # a cash rate moves everything by the hurdle
    assert near == pytest.approx([0.475 + hurdle, -0.842 + hurdle], abs=3e-3)


def test_reverse_carry_is_the_mirror_image_and_both_are_never_on() -> None:
    found = thresholds(
        Fit(mean=0.0, sd=1.0, phi=0.98, up=5.0, down=5.0, **FLAT), 0.0, 0.0, 3.0, True
    )
    assert found[1] == pytest.approx(found[0])  # without hurdles: bang-bang from -1 to 1
    rich = thresholds(
        Fit(mean=0.0, sd=1e-4, phi=0.98, up=5e-4, down=5e-4, **FLAT), 0.05, 0.05, 3.0, True
    )
    assert (rich[0] > rich[1]).all()


@pytest.fixture(scope="module")
def fitted() -> Threshold:
    agent = agents.make("threshold")
    assert isinstance(agent, Threshold)
    agent.learn(
        synthetic_market("btc", years=1, paths=2, seed=21), {"cash_rate": 0.02}, steps=1, seed=0
    )
    return agent


def test_fit_earns_on_unseen_paths_more_than_always_on_and_the_z_score_rule(
    fitted: Threshold,
) -> None:
    unseen = synthetic_market("btc", years=1, paths=6, seed=22)
    growth = {
        name: played(agent, unseen, cash_rate=0.05).mean()
        for name, agent in (
            ("threshold", fitted),
            ("carry", agents.make("carry")),
            ("zscore", agents.make("zscore")),
        )
    }
    assert growth["threshold"] > max(growth["carry"], growth["zscore"], 0.0)
    assert fitted.fit is not None
    assert 0.5 < fitted.fit.phi < 1.0


def test_checkpoint_plays_the_same_and_other_intervals_are_refused(
    fitted: Threshold, tmp_path: Path
) -> None:
    fitted.save(tmp_path)
    again = agents.load(tmp_path)
    assert again.provenance.market == fitted.provenance.market != ""
    env = FundingHedgeVectorEnv(4, **fitted.env_settings())
    obs, _ = env.reset(seed=3)
    for agent in (fitted, again):
        agent.bind(env)
    assert np.array_equal(fitted.act(obs), again.act(obs))
    with pytest.raises(agents.AgentError, match="fit it anew"):
        again.bind(FundingHedgeVectorEnv(1, decision_interval="24h", **fitted.env_settings()))
    unfitted = agents.make("threshold")
    unfitted.bind(env)
    with pytest.raises(agents.AgentError, match="not been fitted"):
        unfitted.act(obs)


def test_fit_sees_the_level_of_funding_of_the_environment(fitted: Threshold) -> None:
    market = synthetic_market("btc", years=1, paths=2, seed=21)
    half, raised = Threshold(), Threshold()
    half.learn(market, {"cash_rate": 0.02, "funding_scale": 0.5}, steps=1, seed=0)
    raised.learn(market, {"cash_rate": 0.02, "funding_shift": 0.1095}, steps=1, seed=0)
    assert fitted.fit is not None
    assert half.fit is not None
    assert raised.fit is not None
    assert (half.fit.mean, half.fit.sd) == pytest.approx(
        (0.5 * fitted.fit.mean, 0.5 * fitted.fit.sd), rel=1e-6
    )
    assert raised.fit.mean == pytest.approx(fitted.fit.mean + 1e-4, rel=1e-2)
    assert raised.fit.sd == pytest.approx(fitted.fit.sd, rel=1e-2)
